#!/bin/bash
# What a careful person writes to get etcd onto fresh hosts quickly: all hosts
# at once, a binary and a unit with static flags, plain HTTP, no DNS, no checks.
# Ends when every member is healthy.
#
#	byhand.sh ETCD SSH-CONFIG ADDRESS...
set -euo pipefail
etcd=$1 config=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cluster=
for ip; do cluster+=${cluster:+,}m${ip##*.}=http://$ip:2380; done

install_on() {
  local ip=$1 dir=$work/$1
  mkdir "$dir"
  cp -l "$etcd" "$dir/etcd" 2>/dev/null || ln -s "$etcd" "$dir/etcd"
  cat >"$dir/etcd.service" <<UNIT
[Unit]
Description=etcd
After=network-online.target
[Service]
Type=notify
ExecStart=/usr/local/bin/etcd --name=m${ip##*.} --data-dir=/var/lib/etcd \\
  --listen-peer-urls=http://$ip:2380 --initial-advertise-peer-urls=http://$ip:2380 \\
  --listen-client-urls=http://$ip:2379 --advertise-client-urls=http://$ip:2379 \\
  --initial-cluster=$cluster --initial-cluster-state=new --initial-cluster-token=byhand
Restart=on-failure
[Install]
WantedBy=multi-user.target
UNIT
  scp -q -F "$config" "$dir/etcd" "$dir/etcd.service" "root@$ip:/tmp/"
  ssh -F "$config" "root@$ip" 'install -m 755 /tmp/etcd /usr/local/bin/etcd &&
    install -m 644 /tmp/etcd.service /etc/systemd/system/etcd.service &&
    systemctl daemon-reload && systemctl enable --now --no-block -q etcd'
}

pids=()
for ip; do install_on "$ip" & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid"; done
for ip; do
  until curl -fs -m 2 "http://$ip:2379/health" | grep -q '"health":"true"'; do sleep 0.02; done
done
