// Package registration has what accounts are asked for with.
package registration

// RegisterOptions ask for an account.
type RegisterOptions struct{ TermsOfServiceAgreed bool }

// RegisterEABOptions ask for an account that is bound to another one.
type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid, HmacEncoded     string
}
