package cloudflaretest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// Description is the variable that names a file with the OpenAPI description of
// the API. Without it nothing is held against one.
const Description = "PLEIAD_CLOUDFLARE_OPENAPI"

// description is what the API promises and demands.
type description struct {
	router routers.Router
}

func describe(file string) (*description, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the API's description %s: %w", file, err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("read the API's description %s: %w", file, err)
	}
	return &description{router}, nil
}

// input is a call as the description sees it: with the host of the service.
func (d *description) input(r *http.Request, body []byte) (*openapi3filter.RequestValidationInput, error) {
	whole, err := http.NewRequest(r.Method, "https://api.cloudflare.com"+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	whole.Header = r.Header.Clone()
	route, parameters, err := d.router.FindRoute(whole)
	if err != nil {
		return nil, err
	}
	return &openapi3filter.RequestValidationInput{Request: whole, PathParams: parameters, Route: route, QueryParams: whole.URL.Query(),
		Options: &openapi3filter.Options{AuthenticationFunc: bearer, IncludeResponseStatus: true, MultiError: true,
			SkipSettingDefaults: true, // what is required must be sent
			SchemaValidationOptions: []openapi3.SchemaValidationOption{openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
				"ipv4": openapi3.NewIPValidator(true), "ipv6": openapi3.NewIPValidator(false), "hostname": openapi3.NewRegexpFormatValidator("(?i)" + hostName.String()),
			})}}}, nil
}

// bearer takes tokens alone: the other ways to sign in are what a stolen shell
// history gives away.
func bearer(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	if in.SecuritySchemeName == "api_token" && strings.HasPrefix(in.RequestValidationInput.Request.Header.Get("Authorization"), "Bearer ") {
		return nil
	}
	return fmt.Errorf("not signed in by token")
}

// request holds a request against the description.
func (d *description) request(t testing.TB, r *http.Request, body []byte) {
	in, err := d.input(r, body)
	if err == nil {
		err = openapi3filter.ValidateRequest(context.Background(), in)
	}
	if err != nil {
		t.Errorf("the API does not know this request: %s %s %s: %v", r.Method, r.URL, body, err)
	}
}

// answer holds an answer of ours against it: a fake that answers otherwise would
// prove nothing.
func (d *description) answer(t testing.TB, r *http.Request, body []byte, answer *httptest.ResponseRecorder) {
	in, err := d.input(r, body)
	if err == nil {
		err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: answer.Code, Header: answer.Header(),
			Body: io.NopCloser(bytes.NewReader(answer.Body.Bytes())), Options: in.Options,
		})
	}
	if err != nil {
		t.Errorf("the API does not answer like this: %s %s: %d %s: %v", r.Method, r.URL, answer.Code, answer.Body, err)
	}
}
