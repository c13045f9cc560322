# frozen_string_literal: true

name 'etcd-server'
maintainer 'The pleiad authors'
license 'Apache-2.0'
description 'Lays down the member of an etcd cluster that pleiad delivers to this machine'
version '1.0.0'
chef_version '>= 16.0'
supports 'debian'
supports 'ubuntu'
supports 'redhat'
supports 'amazon'
