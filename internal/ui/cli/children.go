package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
)

// The commands of this file are what pleiad starts of itself: children that
// outlive the command. People do not type them.

func newMember(s *System) *cobra.Command {
	var dir, program string
	var parent int
	cmd := &cobra.Command{
		Use:    "member",
		Short:  "Run the member of a host: check, wait at the gate, then run etcd",
		Hidden: true,
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// It says why it ends itself, in the form of its log.
			if parent != 0 {
				if s.Watch(cmd.Context(), dir, parent, s.Err) != nil {
					return quietExit(Failed)
				}
				return nil
			}
			var refusal *member.Refusal
			switch err := s.Member(cmd.Context(), dir, program, s.Err); {
			case errors.As(err, &refusal):
				return quietExit(node.ExitRefused)
			case err != nil:
				return quietExit(Failed)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the host's configuration folder")
	cmd.Flags().StringVar(&program, "exec", "", "an etcd to run instead of the one in pleiad")
	cmd.Flags().IntVar(&parent, "watch", 0, "note how far the data of another etcd goes, as long as this parent runs")
	_ = cmd.MarkFlagRequired("dir")
	return cmd
}

func newAgent(s *System) *cobra.Command {
	return &cobra.Command{
		Use:    "agent",
		Short:  "Do on this machine what a pleiad elsewhere asks for, over stdin and stdout",
		Hidden: true,
		Args:   noArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return s.Agent(cmd.Context(), s.In, s.raw.out) },
	}
}

func newNameServer(s *System) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "dns-server",
		Short:  "Run the name server of a cluster",
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
