package local_test

import (
	"os"
	"sort"
	"strconv"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

func TestMeasure(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("N"))
	var all []time.Duration
	for range n {
		t.Run("", func(t *testing.T) {
			c := newTrio(t)
			resolver, _ := nameServer(t, c.records())
			c.install(cluster.Bootstrapping, resolver)
			b := time.Now()
			c.start()
			all = append(all, time.Since(b).Round(time.Millisecond))
			for _, h := range c.hosts {
				end(t, h)
			}
		})
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	t.Logf("RESULT min %v median %v p90 %v max %v", all[0], all[n/2], all[n*9/10], all[n-1])
}
