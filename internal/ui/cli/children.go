package cli

import (
	"github.com/spf13/cobra"
)

// The commands of this file are what pleiad starts of itself: children that
// outlive the command. People do not type them.

func newMember(s *System) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "member",
		Short:  "Be the member of a host: check, wait at the gate, then etcd",
		Hidden: true,
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.Member(cmd.Context(), dir, s.Err) != nil {
				return quietExit(Failed) // it has said why, in the form of its log
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the host's configuration folder")
	_ = cmd.MarkFlagRequired("dir")
	return cmd
}

func newNameServer(s *System) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "dns-server",
		Short:  "Be the name server of a cluster",
		Hidden: true,
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.NameServer(cmd.Context(), dir, s.Err) != nil {
				return quietExit(Failed) // it has said why, in its log
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the name server's folder")
	_ = cmd.MarkFlagRequired("dir")
	return cmd
}
