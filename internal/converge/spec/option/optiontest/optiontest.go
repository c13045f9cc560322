// Package optiontest asks the bundled etcd, in tests, what it makes of its flags:
// those that a spec may set and those that a node is rendered with.
package optiontest

import (
	"flag"
	"io"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// Etcd returns the flags of the bundled etcd and the configuration that they fill.
// Making them writes to variables of etcd's rafthttp package, so a test that calls
// this must not be parallel.
func Etcd() (*embed.Config, *flag.FlagSet) {
	cfg, fs := embed.NewConfig(), flag.NewFlagSet("etcd", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	cfg.AddFlags(fs)
	// The last two are etcdmain's own (server/etcdmain/config.go).
	fs.String("initial-cluster-state", "new", "")
	fs.String("discovery-fallback", "", "")
	return cfg, fs
}

// Validate is etcd's own check of a configuration, without its log.
func Validate(cfg *embed.Config) error {
	cfg.InitialCluster = "" // etcdmain does so where discovery is asked for
	cfg.EnableLogRotation, cfg.LogOutputs = false, []string{embed.StdErrLogOutput}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	return cfg.Validate()
}
