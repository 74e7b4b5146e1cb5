package embedded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// sessionTokenLife is how long a session token of Wacht says that it is good. It is renewed with every answer, and taken even after that
// for as long as the session lives.
const sessionTokenLife = 6 * time.Hour

const tokenHead = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9" // {"alg":"ES256","typ":"JWT"}

// claims are what a token says (RFC 7519). A token is a credential only if it says Session.
type claims struct {
	Issuer    string `json:"iss"`
	Session   string `json:"sess,omitempty"`
	Subject   string `json:"sub,omitempty"`
	SessionID string `json:"session_id,omitempty"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
}

// newSigningKey derives a key for ES256 (RFC 7518 section 3.4) from that of the file, so that tokens outlive a restart.
func (s *Service) newSigningKey() *ecdsa.PrivateKey {
	for n := 0; ; n++ { // all but one of 2^32 numbers are keys
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), s.sign(fmt.Sprint("tokens|", n))); err == nil {
			return key
		}
	}
}

// signToken returns a JSON Web Token in its compact form. It cannot fail: the claims are text and numbers, and the key is one.
func (s *Service) signToken(c claims) string {
	payload, err := json.Marshal(c)
	signed := tokenHead + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest, signature := sha256.Sum256([]byte(signed)), make([]byte, 64)
	a, b, err2 := ecdsa.Sign(rand.Reader, s.signingKey(), digest[:])
	if err = errors.Join(err, err2); err != nil {
		panic("sign token: " + err.Error())
	}
	a.FillBytes(signature[:32])
	b.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// readToken returns the claims of a token that signToken has made.
func (s *Service) readToken(token string) (c claims, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, false
	}
	encoding := base64.RawURLEncoding.Strict()
	payload, err := encoding.DecodeString(parts[1])
	signature, err2 := encoding.DecodeString(parts[2])
	if err != nil || err2 != nil || len(signature) != 64 {
		return c, false
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	a, b := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	ok = ecdsa.Verify(&s.signingKey().PublicKey, digest[:], a, b) && json.Unmarshal(payload, &c) == nil
	return c, ok
}

// sealToken and unsealToken are seal and unseal of Wacht: one token is the cookie, and what stands in for it in development.
func (s *Service) sealToken(x *session, issued time.Time) string {
	ends := min(issued.Add(sessionTokenLife).Unix(), x.ExpiresAt.Unix())
	return s.signToken(claims{
		Issuer: s.cfg.BaseURL, Session: x.ID, IssuedAt: issued.Unix(), NotBefore: issued.Unix(), Expires: ends,
	})
}

func (s *Service) unsealToken(token string) (cookie, bool) {
	c, ok := s.readToken(token)
	return cookie{sessionID: c.Session, issued: time.Unix(c.IssuedAt, 0), expires: time.Unix(c.Expires, 0)}, ok
}

// publicKeys answers with the JSON Web Key Set (RFC 7517) that tokens are verified by.
func (s *Service) publicKeys(w http.ResponseWriter, _ *http.Request) error {
	point, err := s.signingKey().PublicKey.Bytes() // 4, x, y
	if err != nil {
		return err
	}
	x, y := base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])
	return writeJSON(w, http.StatusOK, map[string][]map[string]string{
		"keys": {{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "x": x, "y": y}},
	})
}
