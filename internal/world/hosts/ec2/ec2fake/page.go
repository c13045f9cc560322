package ec2fake

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// page is which part of a list is asked for.
type page struct {
	size    int    // 0 for all
	after   string // the last item of the page before
	first   bool
	request string // what must not change from page to page
}

// page reads MaxResults and NextToken. ids is the name of the parameter that
// they do not go with.
func (c *call) page(ids string) page {
	p := page{size: c.number("MaxResults", 0, 5, 1<<30), first: true, request: c.digest("MaxResults", "NextToken")}
	if p.size > 1000 {
		p.size = 1000
	}
	if (c.has("MaxResults") || c.has("NextToken")) && c.has(nth(ids, 0)) {
		c.refuse("InvalidParameterCombination", "The parameter %s cannot be used with the parameter MaxResults", ids)
	}
	if token := c.text("NextToken"); token != "" {
		raw, err := base64.URLEncoding.DecodeString(token)
		request, after, ok := strings.Cut(string(raw), " ")
		if err != nil || !ok || request != p.request {
			c.refuse("InvalidPaginationToken", "The specified pagination token is not valid or is expired.")
		}
		p.after, p.first = after, false
	}
	return p
}

// cut gives a page of items, which are in the order of their IDs, and the token
// for the next one; empty if there is none.
func cut[T any](all []T, p page, limit int, id func(T) string) ([]T, string) {
	all = slices.DeleteFunc(all, func(t T) bool { return id(t) <= p.after })
	size := p.size
	if limit > 0 && (size == 0 || size > limit) {
		size = limit
	}
	if size == 0 || len(all) <= size {
		return all, ""
	}
	return all[:size], base64.URLEncoding.EncodeToString([]byte(p.request + " " + id(all[size-1])))
}

// digest stands for the parameters of a call without some of them.
func (c *call) digest(without ...string) string {
	values := url.Values(maps.Clone(c.values))
	for _, key := range without {
		values.Del(key)
	}
	sum := sha256.Sum256([]byte(values.Encode()))
	return hex.EncodeToString(sum[:16])
}
