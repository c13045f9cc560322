// Package amazon finds the credentials of Amazon's services as all tools of AWS do.
// It is below the providers that call such a service, which take the credentials as
// they are given and know no file and no variable.
//
// Call [Credentials] for a provider. What it promises: nobody is asked before
// credentials are needed, and they are asked for again before they expire.
package amazon

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Credentials are those that every tool of AWS finds: in the environment, in its
// files, by single sign-on or the role of this machine. They are looked for when they
// are needed first. A profile, if one is named, is that of the files; the environment
// is not looked at then.
func Credentials(region, profile string) aws.CredentialsProvider {
	return aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		options := []func(*config.LoadOptions) error{config.WithRegion(region)}
		if profile != "" {
			options = append(options, config.WithSharedConfigProfile(profile))
		}
		c, err := config.LoadDefaultConfig(ctx, options...)
		if err != nil {
			return aws.Credentials{}, err
		}
		return c.Credentials.Retrieve(ctx)
	}))
}
