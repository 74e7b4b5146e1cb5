// Package acme has what an ACME server says of an account.
package acme

// An Account is what Traefik keeps.
type Account struct{}

// An ExtendedAccount is an Account and its URL.
type ExtendedAccount struct {
	Account
	Location string
}
