package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/expression"
	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/anyhttp"
	"github.com/gatehouse-proxy/gatehouse/upstream/betterauth"
	"github.com/gatehouse-proxy/gatehouse/upstream/crossid"
	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/kratos"
	"github.com/gatehouse-proxy/gatehouse/upstream/wacht"
)

// A client asks one kind of session service. It may be a readier and a forwarder, too.
type client interface {
	upstream.Store
	Close()
}

// A readier says whether the service can be believed when it says that there is no session.
type readier interface {
	Ready(ctx context.Context) error
}

// A forwarder passes questions through.
type forwarder interface {
	Forward(ctx context.Context, c upstream.Credential, query []byte) (upstream.Reply, error)
}

// A tokenMaker makes tokens for a session.
type tokenMaker interface {
	Token(ctx context.Context, c upstream.Credential, template string, client netip.Addr) (wacht.Token, error)
}

// newClient returns a client of the session service. own is the embedded service, if it is that.
func newClient(u config.NamedUpstream, own *embedded.Service, base httpclient.Config) (c client, err error) {
	if own != nil {
		u.Upstream, base.Dial = u.Embedded.StandsFor(), own.Dial
	}
	switch {
	case u.Kratos != nil:
		return kratos.New(kratos.Config{HTTP: base, Cookie: u.Kratos.Cookie})
	case u.Wacht != nil:
		return wacht.New(wacht.Config{HTTP: base, Cookie: u.Wacht.Cookie, Development: u.Wacht.Development})
	case u.Crossid != nil:
		return crossid.New(crossid.Config{HTTP: base, Cookie: u.Crossid.Cookie})
	case u.BetterAuth != nil:
		return betterauth.New(betterauth.Config{HTTP: base, Cookie: u.BetterAuth.Cookie})
	case u.HTTP != nil:
		return newAnyHTTP(u.Key+".http", u.HTTP, base)
	default:
		return nil, errors.New("there is no session service to ask") // config.Load refuses it
	}
}

// newAnyHTTP returns a client of an endpoint that is described by the configuration.
func newAnyHTTP(key string, h *config.HTTP, base httpclient.Config) (client, error) {
	condition, err := expression.CompileReply(h.AuthenticatedWhen)
	if err != nil {
		return nil, fmt.Errorf("compile %s.authenticated_when: %w", key, err)
	}
	secret := ""
	if h.ClientSecretFile != "" {
		text, err := os.ReadFile(h.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("read %s.client_secret_file: %w", key, err)
		}
		if secret = strings.TrimSpace(string(text)); secret == "" {
			return nil, fmt.Errorf("read %s.client_secret_file: %s is empty", key, h.ClientSecretFile)
		}
	}
	header := http.Header{}
	for name, value := range h.Headers {
		header.Set(name, value)
	}
	return anyhttp.New(anyhttp.Config{
		HTTP: base, Method: string(h.Method), FormField: h.FormField, ClientID: h.ClientID, ClientSecret: secret, Header: header,
		Names:     httpclient.Names{TokenHeader: http.CanonicalHeaderKey(h.TokenHeader), Cookie: h.Cookie, Bearer: h.Bearer},
		Condition: condition.Holds,
		Paths: anyhttp.Paths{
			ID: h.Paths.ID, IdentityID: h.Paths.IdentityID, ExpiresAt: h.Paths.ExpiresAt, AuthenticatedAt: h.Paths.AuthenticatedAt,
			AAL: h.Paths.AAL,
		},
	})
}

// urlOf returns the URL of a session service.
func urlOf(u config.NamedUpstream) (*url.URL, error) {
	text := ""
	switch {
	case u.Embedded != nil && u.Embedded.Listen == "":
		text = "http://embedded"
	case u.Embedded != nil:
		return &url.URL{Scheme: "http", Host: u.Embedded.Listen}, nil
	case u.Kratos != nil:
		text = u.Kratos.URL
	case u.Wacht != nil:
		text = u.Wacht.URL
	case u.Crossid != nil:
		text = u.Crossid.URL
	case u.BetterAuth != nil:
		text = u.BetterAuth.URL
	case u.HTTP != nil:
		text = u.HTTP.URL
	}
	base, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read url of %s.%s: %w", u.Key, u.Service().Kind, err)
	}
	return base, nil
}

// A translated is a Store whose sessions are told by whoami in another dialect than the service's. Each is translated once, when it comes.
type translated struct {
	upstream.Store
	into whoami.Dialect
	from whoami.Profile
}

func (t translated) Session(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
	a, err := t.Store.Session(ctx, c)
	if s := a.Session; err == nil {
		a.Session = &upstream.Session{
			ID: s.ID, IdentityID: s.IdentityID, AAL: s.AAL, AuthenticatedAt: s.AuthenticatedAt, ExpiresAt: s.ExpiresAt, Body: s.Body,
			Told: t.into.Tell(s, t.from),
		}
	}
	return a, err
}

// toldAs returns the store as whoami needs it: itself where the service speaks the dialect of whoami anyway.
func toldAs(cfg *config.Config, u *config.Upstream, store upstream.Store) upstream.Store {
	service, dialect := u.Service(), cfg.DialectOf(u)
	profile := whoami.ProfileOf(whoami.Dialect(service.Dialect))
	if h := u.HTTP; h != nil {
		profile = whoami.Profile{Email: h.Paths.Email, Name: h.Paths.Name}
	} else if service.Dialect == dialect {
		return store
	}
	return translated{store, whoami.Dialect(dialect), profile}
}
