// Package chef is the cookbook that lays down what pleiad delivers to a machine
// where Chef installs: etcd-server, for Chef and Cinc from version 16 on. It is
// embedded, so that one binary is all that a controller needs. Package
// world/deliver/chef sends it to machines, and docs/deliver-chef.md is its manual.
package chef

import "embed"

// Name of the cookbook, and of its only recipe.
const Name = "etcd-server"

// Cookbook returns the files, in a folder called [Name].
func Cookbook() embed.FS { return cookbook }

//go:embed etcd-server
var cookbook embed.FS
