// Package lego is a client that cannot be had.
package lego

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

// DirectoryURLLetsEncrypt is in the default configuration.
const DirectoryURLLetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// A Config is of a Client.
type Config struct {
	CADirURL, UserAgent string
	HTTPClient          *http.Client
	Certificate         struct{ Timeout time.Duration }
}

// NewConfig returns a Config.
func NewConfig(any) *Config { return &Config{} }

// A Client cannot be had.
type Client struct {
	Registration registrar
	Challenge    solvers
	Certificate  *certificate.Certifier
}

// NewClient fails.
func NewClient(*Config) (*Client, error) { return nil, errors.ErrUnsupported }

// CreateCertPool fails.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, errors.ErrUnsupported }

type registrar interface {
	Register(ctx context.Context, o registration.RegisterOptions) (*acme.ExtendedAccount, error)
	RegisterWithExternalAccountBinding(ctx context.Context, o registration.RegisterEABOptions) (*acme.ExtendedAccount, error)
}

type solvers interface {
	SetDNS01Provider(p challenge.Provider, o ...dns01.ChallengeOption) error
	SetHTTP01Provider(p challenge.Provider, o ...http01.ChallengeOption) error
	SetTLSALPN01Provider(p challenge.Provider, o ...tlsalpn01.ChallengeOption) error
}
