package register

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Etcd is a cluster as a [Store]: a register is a key, and reads are
// linearizable.
type Etcd struct{ KV clientv3.KV }

// Read implements [Store].
func (e Etcd) Read(ctx context.Context, register string) (string, error) {
	answer, err := e.KV.Get(ctx, register)
	if err != nil {
		return "", err
	}
	return value((*clientv3.GetResponse)(answer)), nil
}

// Write implements [Store].
func (e Etcd) Write(ctx context.Context, register, value string) error {
	_, err := e.KV.Put(ctx, register, value)
	return err
}

// Swap implements [Store].
func (e Etcd) Swap(ctx context.Context, register, old, new string) (string, bool, error) {
	same := clientv3.Compare(clientv3.Value(register), "=", old)
	if old == "" {
		same = clientv3.Compare(clientv3.Version(register), "=", 0)
	}
	answer, err := e.KV.Txn(ctx).If(same).Then(clientv3.OpPut(register, new)).Else(clientv3.OpGet(register)).Commit()
	if err != nil || answer.Succeeded {
		return "", err == nil, err
	}
	return value((*clientv3.GetResponse)(answer.Responses[0].GetResponseRange())), false, nil
}

func value(answer *clientv3.GetResponse) string {
	if len(answer.Kvs) == 0 {
		return ""
	}
	return string(answer.Kvs[0].Value)
}
