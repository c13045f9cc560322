package ec2

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// The states of an instance that matter here; the others are pending and stopping.
const (
	running      = "running"
	stopped      = "stopped"
	shuttingDown = "shutting-down"
	terminated   = "terminated"
)

// instance is one instance as EC2 describes it.
type instance struct {
	ID      string `xml:"instanceId"`
	State   string `xml:"instanceState>name"`
	Private string `xml:"privateIpAddress"`
	Public  string `xml:"ipAddress"`
	Subnet  string `xml:"subnetId"`
	Image   string `xml:"imageId"`
	Type    string `xml:"instanceType"`
	Tags    []tag  `xml:"tagSet>item"`
}

func (i instance) tag(key string) string { return valueOf(i.Tags, key) }

// member is the member whose host it is.
func (i instance) member() cluster.MemberName { return cluster.MemberName(i.tag(tagMember)) }

type volume struct {
	ID   string `xml:"volumeId"`
	Tags []tag  `xml:"tagSet>item"`
}

func (v volume) kept() bool { return valueOf(v.Tags, tagKept) != "" }

// maxPages bounds a list; a page has up to a thousand items.
const maxPages = 100

// pages makes a call for one page after the other.
func pages(ctx context.Context, what string, page func(words url.Values) (next string, err error)) error {
	words := url.Values{"MaxResults": {"1000"}}
	for range maxPages {
		next, err := page(words)
		if err != nil || next == "" {
			return err
		}
		words.Set("NextToken", next)
	}
	return fmt.Errorf("%s: more than %d pages", what, maxPages)
}

// instances lists those with tags.
func (a *api) instances(ctx context.Context, tags []tag) (out []instance, err error) {
	err = pages(ctx, "DescribeInstances", func(words url.Values) (string, error) {
		filter(words, tags)
		var found struct {
			Instances []instance `xml:"reservationSet>item>instancesSet>item"`
			Next      string     `xml:"nextToken"`
		}
		err := a.call(ctx, "DescribeInstances", words, &found)
		out = append(out, found.Instances...)
		return found.Next, err
	})
	return out, err
}

// volumes lists those with tags.
func (a *api) volumes(ctx context.Context, tags []tag) (out []volume, err error) {
	err = pages(ctx, "DescribeVolumes", func(words url.Values) (string, error) {
		filter(words, tags)
		var found struct {
			Volumes []volume `xml:"volumeSet>item"`
			Next    string   `xml:"nextToken"`
		}
		err := a.call(ctx, "DescribeVolumes", words, &found)
		out = append(out, found.Volumes...)
		return found.Next, err
	})
	return out, err
}

// run launches one instance.
func (a *api) run(ctx context.Context, order url.Values) (instance, error) {
	var launched struct {
		Instances []instance `xml:"instancesSet>item"`
	}
	err := a.call(ctx, "RunInstances", order, &launched)
	if err == nil && len(launched.Instances) != 1 {
		err = fmt.Errorf("RunInstances: it answered with %d instances", len(launched.Instances))
	}
	if err != nil {
		return instance{}, err
	}
	return launched.Instances[0], nil
}

// rootDevice is the name of the volume that an image boots from.
func (a *api) rootDevice(ctx context.Context, image string) (string, error) {
	var found struct {
		Devices []string `xml:"imagesSet>item>rootDeviceName"`
	}
	err := a.call(ctx, "DescribeImages", url.Values{"ImageId.1": {image}}, &found)
	if err == nil && (len(found.Devices) != 1 || found.Devices[0] == "") {
		err = errors.New("DescribeImages: it does not say what " + image + " boots from")
	}
	if err != nil {
		return "", err
	}
	return found.Devices[0], nil
}

func (a *api) start(ctx context.Context, id string) error {
	return a.call(ctx, "StartInstances", url.Values{"InstanceId.1": {id}}, &struct{}{})
}

func (a *api) terminate(ctx context.Context, id string) error {
	return a.call(ctx, "TerminateInstances", url.Values{"InstanceId.1": {id}}, &struct{}{})
}

func (a *api) deleteVolume(ctx context.Context, id string) error {
	return a.call(ctx, "DeleteVolume", url.Values{"VolumeId": {id}}, &struct{}{})
}

// tag puts a tag on resources.
func (a *api) tag(ctx context.Context, ids []string, t tag) error {
	words := url.Values{}
	numbered(words, "ResourceId", ids)
	setTags(words, "", []tag{t})
	return a.call(ctx, "CreateTags", words, &struct{}{})
}

func filter(words url.Values, tags []tag) {
	for n, t := range tags {
		prefix := "Filter." + strconv.Itoa(n+1)
		words.Set(prefix+".Name", "tag:"+t.Key)
		words.Set(prefix+".Value.1", t.Value)
	}
}

func setTags(words url.Values, prefix string, tags []tag) {
	for n, t := range tags {
		words.Set(fmt.Sprintf("%sTag.%d.Key", prefix, n+1), t.Key)
		words.Set(fmt.Sprintf("%sTag.%d.Value", prefix, n+1), t.Value)
	}
}

func numbered(words url.Values, key string, values []string) {
	for n, v := range values {
		words.Set(key+"."+strconv.Itoa(n+1), v)
	}
}
