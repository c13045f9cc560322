# frozen_string_literal: true

require 'json'

module EtcdServer
  # What pleiad put onto this machine for Chef to lay down: a list, and the files
  # that it names, in a folder that only root can open. Whoever reads or writes
  # there holds a lock until it is done: a run of Chef that began before a
  # delivery must not bring back what the delivery replaced.
  class Delivered
    STAGE = '/var/lib/pleiad-chef'
    LIST = 'stage.json'
    LOCK = 'lock'
    PATIENCE = 300 # seconds, for another run

    attr_reader :lock

    # What was delivered; nil if nothing was.
    def self.take
      lock = File.open(File.join(STAGE, LOCK), File::RDWR | File::CREAT, 0o600)
      wait(lock)
      new(lock, JSON.parse(File.read(File.join(STAGE, LIST)))) if File.identical?(lock.path, lock)
    rescue Errno::ENOENT
      nil
    end

    def self.wait(lock)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
      until lock.flock(File::LOCK_EX | File::LOCK_NB)
        if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
          raise "etcd-server: another run has been at work with #{STAGE} for #{PATIENCE} seconds"
        end

        sleep 0.1
      end
    end

    def initialize(lock, list)
      @lock = lock # held until this process ends
      @list = list
      raise "etcd-server: #{STAGE}/#{LIST} is of version #{list['version']}, this cookbook reads version 1" if list['version'] != 1
    end

    def [](key)
      @list.fetch(key)
    end

    def from(file)
      File.join(STAGE, file['from'])
    end

    def binary
      File.join(STAGE, 'pleiad')
    end

    # Files in the member's own folders, but for the one that says that all is there.
    def credentials
      self['files'].select { |f| f['member'] } - [member_file]
    end

    # Files of root's, but for the unit.
    def system_files
      self['files'].reject { |f| f['member'] } - [unit_file]
    end

    def unit_file
      self['files'].find { |f| f['to'] == self['unit'] }
    end

    def member_file
      self['files'].last
    end

    # Runs a command with the rights of the member's user, and with no more time
    # than it needs: once compromised, a member may put a link or a pipe where
    # root is about to read or write.
    def as_member(command)
      "timeout 30 setpriv --reuid=#{self['uid']} --regid=#{self['gid']} --clear-groups sh -c '#{command}'"
    end

    # A command that succeeds where a file is as it was delivered.
    def same(file)
      return "cmp -s #{from(file)} #{file['to']}" unless file['member']

      owner = "#{self['uid']}:#{self['gid']}:#{file['mode'].to_i(8).to_s(8)}:regular file"
      "[ \"$(#{as_member("stat --format=%u:%g:%a:%F #{file['to']}")} 2>/dev/null)\" = \"#{owner}\" ] && " \
        "#{as_member("cat #{file['to']}")} 2>/dev/null | cmp -s - #{from(file)}"
    end

    # A command that puts a file of the member's in place, in one instant. Root opens
    # what is delivered; the rest is done with the member's rights.
    def put(file)
      to = file['to']
      as_member("umask 077 && rm -rf #{to}.new && cat >#{to}.new && chmod #{file['mode']} #{to}.new && " \
                "sync #{to}.new && mv -T #{to}.new #{to} && sync #{File.dirname(to)}") + " <#{from(file)}"
    end

    # Says what an attribute has against what was delivered. An attribute that
    # nobody set has nothing.
    def refuse(attributes)
      self['attributes'].each do |name, delivered|
        said = attributes && attributes[name]
        next if said.nil? || said.to_s.chomp('.') == delivered

        raise "etcd-server: node['etcd-server']['#{name}'] is #{said.to_s.inspect}, but pleiad delivered " \
              "#{delivered.inspect}: change pleiad.yaml and run pleiad up, or remove the attribute"
      end
    end

    # Why the member's files stay as they are; nil if they need not. They may be newer
    # than what is in the folder, if somebody has put that back from a copy.
    def overtaken(installed)
      there = JSON.parse(installed)
      if there['token'] != self['token']
        "it holds a node of incarnation #{there['token']}, not #{self['token']}"
      elsif there['sealed'] && !self['sealed']
        'it holds a node of the sealed cluster'
      elsif there['generation'].to_i > self['generation']
        "it holds a node of generation #{there['generation']}, which is newer than #{self['generation']}"
      end
    rescue JSON::ParserError
      nil
    end
  end
end
