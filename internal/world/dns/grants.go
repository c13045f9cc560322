package dns

// Grants are what a credential allows, as a provider tells it that grants whole
// zones. Where rights are granted by name, [Try] finds them out.
type Grants struct {
	// Zone is the one that holds the domain, without trailing dot.
	Zone string
	// Excess are rights in that zone that are not needed, in the provider's words.
	Excess []string
	// Others are further zones that the credential is for: the first of them, in
	// order.
	Others []string
}
