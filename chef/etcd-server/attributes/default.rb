# frozen_string_literal: true

# What is nil is as pleiad delivered it. A wrapper may say it too, if it says the
# same: anything else fails the converge. No other attribute is read.
#
# The discovery domain: `domain` in pleiad.yaml.
default['etcd-server']['discovery_srv'] = nil
# `discoveryName` in pleiad.yaml; empty for none.
default['etcd-server']['discovery_srv_name'] = nil
# Where etcd keeps its data: /var/lib/pleiad/data.
default['etcd-server']['data_dir'] = nil
# The release of etcd, where pleiad.yaml names one.
default['etcd-server']['version'] = nil
