package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/system/given"
)

// Variable is where people who use Cloudflare's tools have their token.
const Variable = "CLOUDFLARE_API_TOKEN"

// Token is an API token of Cloudflare's. It does not print itself, nor does what
// holds it (rule R15): of a pointer within a value fmt prints the address.
type Token struct{ secret *string }

// String hides the token.
func (Token) String() string { return "(token)" }

// GoString hides the token.
func (Token) GoString() string { return "(token)" }

// ReadToken reads the token from a file that holds nothing else.
func ReadToken(ctx context.Context, file string) (Token, error) {
	text, err := given.Read(ctx, file, given.Key)
	if err != nil {
		return Token{}, fmt.Errorf("read the Cloudflare token: %w", err)
	}
	t, err := ParseToken(string(text))
	if err != nil {
		return Token{}, fmt.Errorf("read the Cloudflare token: %s: %w", file, err)
	}
	return t, nil
}

// ParseToken takes a token as it stands in a file or variable. Its errors show
// nothing of it: half a secret is one, too.
func ParseToken(text string) (Token, error) {
	secret := strings.TrimSpace(text)
	const longest = 1024
	switch {
	case secret == "":
		return Token{}, errors.New("it is empty; want the token alone")
	case len(secret) > longest:
		return Token{}, fmt.Errorf("it has %d characters; want the token alone, which has 40", len(secret))
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' || r == '=' || r == '"' || r == '\'' }):
		return Token{}, errors.New("it holds spaces, quotes, = or letters that no token has; want the token alone")
	}
	return Token{&secret}, nil
}
