# frozen_string_literal: true

# Lays down what pleiad delivered to this machine, and nothing else: pleiad's
# binary, keys and certificates, the member's hosts file, its unit and its
# configuration. It enables the unit once the cluster is sealed. It never starts,
# stops or restarts the member, and waits for no quorum: order of starts and
# health are pleiad's. Where all is as delivered, it updates nothing.

delivered = EtcdServer::Delivered.take
delivered&.refuse(node['etcd-server'])
node.run_state['etcd-server'] = delivered # its lock lasts as long as this run

overtaken = delivered && shell_out(delivered.as_member("head -c 4194304 #{delivered.member_file['to']}")).stdout
overtaken &&= delivered.overtaken(overtaken)

if delivered.nil?
  Chef::Log.warn('etcd-server: pleiad has delivered nothing to this machine: nothing to lay down')
elsif overtaken
  Chef::Log.warn("etcd-server: the member stays as it is: #{overtaken}; run pleiad up")
else
  top, *folders = delivered['folders']

  directory top do
    owner delivered['uid']
    group delivered['gid']
    mode '0700'
  end

  folders.each do |folder|
    execute "folder #{folder}" do
      command delivered.as_member("mkdir -m 700 #{folder}")
      not_if delivered.as_member("test -d #{folder}")
    end
  end

  directory ::File.dirname(delivered['binary']) do
    mode '0755'
    recursive true
  end

  remote_file delivered['binary'] do
    source "file://#{delivered.binary}"
    checksum delivered['sha256']
    mode '0755'
    backup false
    use_conditional_get false
  end

  # The member's configuration says that all else is there. So it goes first where
  # something else changes, and comes last.
  execute 'withdraw the member file' do
    command delivered.as_member("rm -f #{delivered.member_file['to']}")
    only_if delivered.as_member("test -e #{delivered.member_file['to']}")
    not_if((delivered.credentials + [delivered.unit_file]).map { |f| "{ #{delivered.same(f)}; }" }.join(' && '))
  end

  # Not resources of kind file: root would follow a link that the member left, and
  # Chef would report a key to its server.
  delivered.credentials.each do |laid|
    execute laid['to'] do
      command delivered.put(laid)
      not_if delivered.same(laid)
    end
  end

  delivered.system_files.each do |laid|
    file laid['to'] do
      content ::File.read(delivered.from(laid))
      mode laid['mode']
      atomic_update !laid['inPlace'] # a running member has that very file mounted
      backup false
    end
  end

  file delivered['unit'] do
    content ::File.read(delivered.from(delivered.unit_file))
    mode delivered.unit_file['mode']
    backup false
  end

  unit = ::File.basename(delivered['unit'])
  execute 'systemctl daemon-reload' do
    only_if "systemctl show --property=NeedDaemonReload --value #{unit} | grep -qx yes"
  end

  directory ::File.dirname(delivered['wants']) do
    mode '0755'
  end

  link delivered['wants'] do
    to delivered['unit']
    only_if { delivered['sealed'] }
  end

  execute delivered.member_file['to'] do
    command delivered.put(delivered.member_file)
    not_if delivered.same(delivered.member_file)
  end
end
