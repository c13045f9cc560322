package ec2fake_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	region    = "eu-central-1"
)

func account() ec2fake.Account {
	return ec2fake.Account{
		AccessKey: accessKey, SecretKey: secretKey, Region: region,
		Subnets: []ec2fake.Subnet{
			{ID: "subnet-a", Zone: "eu-central-1a", ZoneID: "euc1-az2", VPC: "vpc-1", Prefix: netip.MustParsePrefix("10.5.1.0/28")},
			{ID: "subnet-b", Zone: "eu-central-1b", ZoneID: "euc1-az3", VPC: "vpc-1", Prefix: netip.MustParsePrefix("10.5.2.0/24"), Public: true},
		},
		Images: []string{"ami-1"}, KeyPairs: []string{"ops"}, SecurityGroups: []string{"sg-1", "sg-2"}, Profiles: []string{"node"}, Types: []string{"m7.large", "m6.large"},
	}
}

// bench is a server and somebody who calls it.
type bench struct {
	*ec2fake.Server
	t      *testing.T
	url    string
	key    aws.Credentials
	region string
	at     time.Time // the client's clock; now if zero
	edit   func(*http.Request)
}

func start(t *testing.T) *bench {
	t.Helper()
	b := &bench{Server: ec2fake.New(account()), t: t, key: aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}, region: region}
	b.url = serve(t, b.Server)
	return b
}

// serve serves a server until the end of the test.
func serve(t *testing.T, s *ec2fake.Server) string {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

// instance is what the tests look at in answers.
type instance struct {
	ID         string   `xml:"instanceId"`
	State      string   `xml:"instanceState>name"`
	Code       int      `xml:"instanceState>code"`
	Private    string   `xml:"privateIpAddress"`
	Public     string   `xml:"ipAddress"`
	Subnet     string   `xml:"subnetId"`
	Zone       string   `xml:"placement>availabilityZone"`
	Token      string   `xml:"clientToken"`
	Reason     string   `xml:"stateReason>code"`
	Volumes    []string `xml:"blockDeviceMapping>item>ebs>volumeId"`
	Devices    []string `xml:"blockDeviceMapping>item>deviceName"`
	Groups     []string `xml:"groupSet>item>groupId"`
	Interfaces []string `xml:"networkInterfaceSet>item>networkInterfaceId"`
	Tags       []tag    `xml:"tagSet>item"`
	HTTPTokens string   `xml:"metadataOptions>httpTokens"`
	HopLimit   int      `xml:"metadataOptions>httpPutResponseHopLimit"`
	Profile    string   `xml:"iamInstanceProfile>arn"`
	Previous   string   `xml:"previousState>name"`
	Current    string   `xml:"currentState>name"`
}

type tag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type volume struct {
	ID         string `xml:"volumeId"`
	Status     string `xml:"status"`
	Size       int    `xml:"size"`
	Type       string `xml:"volumeType"`
	IOPS       int    `xml:"iops"`
	Throughput int    `xml:"throughput"`
	Encrypted  bool   `xml:"encrypted"`
	Instance   string `xml:"attachmentSet>item>instanceId"`
	Device     string `xml:"attachmentSet>item>device"`
	Tags       []tag  `xml:"tagSet>item"`
}

// reply is the answer of any action.
type reply struct {
	XMLName   xml.Name
	status    int
	Code      string     `xml:"Errors>Error>Code"`
	Message   string     `xml:"Errors>Error>Message"`
	Changed   []instance `xml:"instancesSet>item"` // also those that were launched
	Found     []instance `xml:"reservationSet>item>instancesSet>item"`
	Volumes   []volume   `xml:"volumeSet>item"`
	NextToken string     `xml:"nextToken"`
	Subnets   []string   `xml:"subnetSet>item>subnetId"`
	Images    []string   `xml:"imagesSet>item>imageId"`
	Groups    []string   `xml:"securityGroupInfo>item>groupId"`
	KeyPairs  []string   `xml:"keySet>item>keyName"`
}

// try makes a call; a connection that was cut is an error.
func (b *bench) try(action string, parameters ...string) (reply, error) {
	b.t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2016-11-15"}}
	for n := 0; n < len(parameters); n += 2 {
		if parameters[n] == "Version" {
			form.Del("Version")
		}
		form.Add(parameters[n], parameters[n+1])
	}
	body := form.Encode()
	r, err := http.NewRequest(http.MethodPost, b.url+"/", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sum := sha256.Sum256([]byte(body))
	at := b.at
	if at.IsZero() {
		at = time.Now()
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), b.key, r, hex.EncodeToString(sum[:]), "ec2", b.region, at); err != nil {
		b.t.Fatal(err)
	}
	if b.edit != nil {
		b.edit(r)
	}
	return b.send(r)
}

func (b *bench) send(r *http.Request) (reply, error) {
	b.t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	out := reply{status: res.StatusCode}
	if err := xml.Unmarshal(raw, &out); err != nil {
		b.t.Fatalf("%v in %s", err, raw)
	}
	return out, nil
}

// do makes a call that must succeed.
func (b *bench) do(action string, parameters ...string) reply {
	b.t.Helper()
	out, err := b.try(action, parameters...)
	if err != nil || out.status != http.StatusOK || out.XMLName.Local != action+"Response" {
		b.t.Fatalf("%s %q: %v, %d %s: %s", action, parameters, err, out.status, out.Code, out.Message)
	}
	return out
}

// refused makes a call that must be refused.
func (b *bench) refused(status int, code, action string, parameters ...string) {
	b.t.Helper()
	out, err := b.try(action, parameters...)
	if err != nil || out.status != status || out.Code != code {
		b.t.Errorf("%s %q: %v, %d %s: %s; want %d %s", action, parameters, err, out.status, out.Code, out.Message, status, code)
	}
}

// lost makes a call that must get no answer.
func (b *bench) lost(action string, parameters ...string) {
	b.t.Helper()
	if out, err := b.try(action, parameters...); err == nil {
		b.t.Errorf("%s was answered: %d %s", action, out.status, out.Code)
	}
}

// launching are the parameters that every launch needs, with others after them.
func launching(more ...string) []string {
	return append([]string{"MinCount", "1", "MaxCount", "1", "ImageId", "ami-1", "InstanceType", "m7.large", "SubnetId", "subnet-a"}, more...)
}

// launch launches one instance.
func (b *bench) launch(more ...string) instance {
	b.t.Helper()
	out := b.do("RunInstances", launching(more...)...)
	if len(out.Changed) != 1 {
		b.t.Fatalf("launched %+v", out.Changed)
	}
	return out.Changed[0]
}

// look describes one instance.
func (b *bench) look(id string) instance {
	b.t.Helper()
	out := b.do("DescribeInstances", "InstanceId.1", id)
	if len(out.Found) != 1 {
		b.t.Fatalf("found %+v", out.Found)
	}
	return out.Found[0]
}
