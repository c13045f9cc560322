package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

// back is how long a cluster may take to serve again. Members that start
// together compare their data first, and each waits up to 7 s for each of its
// peers to tell a digest, which none does before it serves itself.
const back = 45 * time.Second

// awaitHealthy waits until each of some hosts' members says that it is
// healthy, which holds a read that needs a quorum. It asks addresses, as any
// client could without DNS, and never pleiad.
func (o operator) awaitHealthy(hosts ...*bed.Host) {
	o.Helper()
	tls, err := o.tls().ClientConfig()
	o.ok(err)
	// No connection is used twice: one from before a power cut leads nowhere.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: tls, DialContext: o.Dial, DisableKeepAlives: true}, Timeout: 3 * time.Second}
	ctx, cancel := context.WithTimeout(o.Context(), back)
	defer cancel()
	o.each(hosts, func(h *bed.Host, _ context.Context) error {
		for {
			err := healthy(ctx, client, h)
			if err == nil {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is not healthy within %s: %w", h.Name, back, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}

func healthy(ctx context.Context, client *http.Client, h *bed.Host) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint(h)+"/health", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var said struct{ Health, Reason string }
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		return err
	}
	if said.Health != "true" {
		return errors.New(said.Reason)
	}
	return nil
}
