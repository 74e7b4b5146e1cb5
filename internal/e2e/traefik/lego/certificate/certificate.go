// Package certificate obtains nothing.
package certificate

import (
	"context"
	"errors"

	"github.com/go-acme/lego/v5/certcrypto"
)

// A Resource is a certificate.
type Resource struct {
	ID                      string
	Domains                 []string
	PrivateKey, Certificate []byte
}

// An ObtainRequest asks for a certificate.
type ObtainRequest struct {
	Domains                  []string
	Bundle, EnableCommonName bool
	EmailAddresses           []string
	Profile, PreferredChain  string
	KeyType                  certcrypto.KeyType
}

// RenewOptions ask for another certificate.
type RenewOptions struct {
	Bundle, EnableCommonName bool
	EmailAddresses           []string
	Profile, PreferredChain  string
}

// A Certifier obtains nothing.
type Certifier struct{}

// Obtain fails.
func (*Certifier) Obtain(context.Context, ObtainRequest) (*Resource, error) {
	return nil, errors.ErrUnsupported
}

// Renew fails.
func (*Certifier) Renew(context.Context, Resource, *RenewOptions) (*Resource, error) {
	return nil, errors.ErrUnsupported
}
