package identitytoken

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Config says what is signed, and with which keys.
type Config struct {
	Files  Files
	Issuer string            // iss
	TTL    time.Duration     // how long a token is valid, if the session does not end before; at least a second
	Claims map[string]string // further claims, and their paths into the session's body in GJSON syntax
}

// A Signer signs tokens about sessions. It is immutable and safe for concurrent use.
type Signer struct {
	cfg  Config
	sign jose.Signer
	keys []byte
}

// New returns a Signer with the keys that were read from cfg.Files.
func New(cfg Config, contents Contents) (*Signer, error) {
	key, set, err := cfg.Files.parse(contents)
	if err != nil {
		return nil, err
	}
	s := &Signer{cfg: cfg}
	signing := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}
	if s.sign, err = jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT")); err != nil {
		return nil, fmt.Errorf("use key of %s: %w", cfg.Files.Key, err)
	}
	if s.keys, err = json.Marshal(set); err != nil {
		return nil, fmt.Errorf("write key set: %w", err)
	}
	return s, nil
}

// Keys returns the public keys as a JSON Web Key Set: first the one that signs, then the others. The caller must not change it.
func (s *Signer) Keys() []byte { return s.keys }

// Sign returns a token about s for an audience. It is to be renewed after half of its time.
func (s *Signer) Sign(session *upstream.Session, audience string) (policy.Token, error) {
	now := time.Now()
	ends := now.Add(s.cfg.TTL)
	if !session.ExpiresAt.IsZero() && session.ExpiresAt.Before(ends) {
		ends = session.ExpiresAt
	}
	if !now.Before(ends) {
		return policy.Token{}, errors.New("session has ended")
	}
	statement, kept := session.Statement()
	if !kept {
		return policy.Token{}, policy.ErrForgotten
	}
	claims := map[string]any{}
	for name, path := range s.cfg.Claims {
		if v := gjson.GetBytes(statement, path); v.Exists() {
			claims[name] = json.RawMessage(v.Raw)
		}
	}
	claims["iss"], claims["aud"] = s.cfg.Issuer, audience
	claims["sub"], claims["sid"] = session.IdentityID, session.ID
	claims["iat"], claims["exp"] = now.Unix(), ends.Unix() // rounded down: never past the session's end
	claims["acr"] = session.AAL.String()
	if !session.AuthenticatedAt.IsZero() {
		claims["auth_time"] = session.AuthenticatedAt.Unix()
	}
	if methods := gjson.GetBytes(statement, "authentication_methods.#.method"); len(methods.Array()) > 0 {
		claims["amr"] = json.RawMessage(methods.Raw)
	}
	payload, err := json.Marshal(claims) // its keys are sorted
	if err != nil {
		return policy.Token{}, errors.New("a claim is not JSON") // the error of encoding/json quotes what it read
	}
	signed, err := s.sign.Sign(payload)
	if err != nil {
		return policy.Token{}, fmt.Errorf("sign with key of %s: %w", s.cfg.Files.Key, err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		return policy.Token{}, fmt.Errorf("write token: %w", err)
	}
	renew := now.Add(s.cfg.TTL / 2)
	if ends.Before(renew) {
		renew = ends
	}
	return policy.Token{Value: []byte(compact), RenewAt: renew.Round(0)}, nil
}
