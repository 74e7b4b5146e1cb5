package identitytoken_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/identitytoken"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// generate returns new keys of both kinds.
func generate(t testing.TB) (ed, ec any) {
	t.Helper()
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return e, p
}

// private returns a private key in PEM.
func private(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// public returns a public key in PEM.
func public(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// write writes a file that only its owner can read.
func write(t testing.TB, text string) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "*.pem")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = file.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

func newSigner(t testing.TB, cfg identitytoken.Config) *identitytoken.Signer {
	t.Helper()
	s, err := identitytoken.New(cfg, cfg.Files.Read())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verify verifies a token as an application does, with the keys that are served, and returns the header and the claims.
func verify(t testing.TB, keys, token []byte) (jose.Header, map[string]any) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(keys, &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(string(token), []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := parsed.Claims(set, &claims); err != nil {
		t.Fatalf("not verified: %v", err)
	}
	return parsed.Headers[0], claims
}

func TestTokensCanBeVerified(t *testing.T) {
	ed, ec := generate(t)
	f := func(key any, algorithm string) {
		t.Helper()
		file := write(t, private(t, key))
		synctest.Test(t, func(t *testing.T) { // 2000-01-01T00:00:00Z
			s := newSigner(t, identitytoken.Config{
				Files: identitytoken.Files{Key: file}, Issuer: "https://gate.example.com", TTL: 5 * time.Minute,
				Claims: map[string]string{"email": "identity.traits.email", "roles": "identity.traits.roles", "none": "identity.none", "sub": "id"},
			})
			now := time.Now()
			session := &upstream.Session{
				ID: "s1", IdentityID: "alice", AAL: upstream.AAL2, AuthenticatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(time.Hour),
				Body: []byte(`{"identity":{"traits":{"email":"zo\u00eb@example.com","roles":["a","b"]}},` +
					`"authentication_methods":[{"method":"password"},{"method":"totp"}]}`),
			}
			token, err := s.Sign(session, "https://app.example.com")
			if err != nil {
				t.Fatal(err)
			}
			header, claims := verify(t, s.Keys(), token.Value)
			if header.Algorithm != algorithm || header.ExtraHeaders["typ"] != "JWT" {
				t.Errorf("header %+v", header)
			}
			unix := func(d time.Duration) float64 { return float64(now.Add(d).Unix()) }
			want := map[string]any{
				"iss": "https://gate.example.com", "aud": "https://app.example.com", "sub": "alice", "sid": "s1", "acr": "aal2",
				"amr": []any{"password", "totp"}, "email": "zoë@example.com", "roles": []any{"a", "b"},
				"iat": unix(0), "exp": unix(5 * time.Minute), "auth_time": unix(-time.Hour),
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if want := now.Add(150 * time.Second); !token.RenewAt.Equal(want) {
				t.Errorf("renewed at %s, want %s", token.RenewAt, want)
			}

			// It ends with the session, and the seconds are rounded down.
			session.ExpiresAt = now.Add(90*time.Second + time.Second/2)
			if token, err = s.Sign(session, "a"); err != nil {
				t.Fatal(err)
			}
			if _, claims = verify(t, s.Keys(), token.Value); claims["exp"] != unix(90*time.Second) || !token.RenewAt.Equal(session.ExpiresAt) {
				t.Errorf("exp %v, renewed at %s", claims["exp"], token.RenewAt)
			}
			session.ExpiresAt = now
			if token, err = s.Sign(session, "a"); err == nil {
				t.Errorf("a session that has ended is signed: %s", token.Value)
			}

			// What is not known is not claimed.
			if token, err = s.Sign(&upstream.Session{ID: "s1", IdentityID: "alice"}, "a"); err != nil {
				t.Fatal(err)
			}
			if _, claims = verify(t, s.Keys(), token.Value); claims["auth_time"] != nil || claims["amr"] != nil || claims["acr"] != "aal0" {
				t.Errorf("claims %v", claims)
			}
			if _, err = s.Sign(&upstream.Session{Body: []byte(`{"identity":{"traits":{"roles":[1,secret]}}}`)}, "a"); err == nil ||
				strings.Contains(err.Error(), "secret") {
				t.Errorf("a claim that is no JSON: %v", err)
			}
		})
	}
	f(ed, "EdDSA")
	f(ec, "ES256")
}

// While a key is rotated, tokens of either key are verified at every step, and kid is the thumbprint of RFC 7638.
func TestKeysRotate(t *testing.T) {
	first, second := generate(t)
	one, two := write(t, private(t, first)), write(t, private(t, second))
	onePublic := write(t, public(t, first.(ed25519.PrivateKey).Public()))
	steps := []identitytoken.Files{
		{Key: one},
		{Key: one, Others: []string{two}},            // the next key is published
		{Key: two, Others: []string{onePublic, one}}, // and signs; the last one is still published, once
		{Key: two},
	}
	session := &upstream.Session{ID: "s1", IdentityID: "alice"}
	var sets, tokens [][]byte
	for _, files := range steps {
		s := newSigner(t, identitytoken.Config{Files: files, Issuer: "i", TTL: time.Minute})
		token, err := s.Sign(session, "a")
		if err != nil {
			t.Fatal(err)
		}
		sets, tokens = append(sets, s.Keys()), append(tokens, token.Value)
	}
	for i := range steps {
		for j := max(0, i-1); j <= min(i+1, len(steps)-1); j++ { // an application may be a step ahead or behind
			verify(t, sets[i], tokens[j])
		}
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(sets[2], &set); err != nil || len(set.Keys) != 2 {
		t.Fatalf("%v, %s", err, sets[2])
	}
	for _, key := range set.Keys {
		if key["d"] != "" || key["use"] != "sig" || len(key["kid"]) != 43 {
			t.Errorf("key %v", key)
		}
	}
	if set.Keys[0]["alg"] != "ES256" || set.Keys[1]["alg"] != "EdDSA" {
		t.Errorf("keys %v", set.Keys)
	}
}

// The key of RFC 8037 appendix A.3 has the name that the RFC gives.
func TestKeyID(t *testing.T) {
	key := ed25519.PublicKey([]byte{
		0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
		0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
	})
	ed, _ := generate(t)
	s := newSigner(t, identitytoken.Config{Files: identitytoken.Files{Key: write(t, private(t, ed)), Others: []string{write(t, public(t, key))}}})
	if !strings.Contains(string(s.Keys()), `"kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"`) {
		t.Errorf("keys %s", s.Keys())
	}
}

func TestKeysThatWillNotDo(t *testing.T) {
	ed, ec := generate(t)
	good := private(t, ed)
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := func(key, other, want string) {
		t.Helper()
		files := identitytoken.Files{Key: write(t, key)}
		if other != "" {
			files.Others = []string{write(t, other)}
		}
		s, err := identitytoken.New(identitytoken.Config{Files: files}, files.Read())
		if s != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if err != nil && strings.Contains(err.Error(), key[len(key)/2:]) {
			t.Errorf("the error tells of the key: %v", err)
		}
	}
	f("nothing", "", "there is no key in it: want one in PEM that is not encrypted, as `openssl genpkey -algorithm ed25519` writes it")
	f(good+good, "", "there is more than one key in it")
	f(public(t, ed.(ed25519.PrivateKey).Public()), "", "it is a public key, and signing takes a private one")
	f(private(t, big), "", "want a key for Ed25519 or for ECDSA on P-256")
	f(private(t, wide), "", "want a key for Ed25519 or for ECDSA on P-256")
	f(strings.ReplaceAll(good, "PRIVATE", "EC PRIVATE"), "", `it is of type "EC PRIVATE KEY": want one in PEM`)
	f(strings.ReplaceAll(good, "PRIVATE", "ENCRYPTED PRIVATE"), "", `it is of type "ENCRYPTED PRIVATE KEY"`)
	f(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("rubbish")})), "", "it cannot be read")
	f(good, "nothing", "there is no key in it")
	f(private(t, ec), private(t, big), "want a key for Ed25519")
	files := identitytoken.Files{Key: filepath.Join(t.TempDir(), "missing.pem")}
	if _, err := identitytoken.New(identitytoken.Config{Files: files}, files.Read()); err == nil || !strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// What files hold is told apart by its digest, and a private key that everybody can read is found.
func TestContents(t *testing.T) {
	ed, ec := generate(t)
	files := identitytoken.Files{Key: write(t, private(t, ed)), Others: []string{write(t, public(t, ec.(*ecdsa.PrivateKey).Public()))}}
	before := files.Read()
	if files.Read().Digest != before.Digest || len(before.Exposed) > 0 {
		t.Errorf("exposed %v, or the digest is not constant", before.Exposed)
	}
	for _, name := range []string{files.Key, files.Others[0]} {
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if c := files.Read(); !slices.Equal(c.Exposed, []string{files.Key}) || c.Digest != before.Digest {
		t.Errorf("exposed %v", c.Exposed)
	}
	if err := os.WriteFile(files.Others[0], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := files.Read().Digest
	if err := os.Remove(files.Others[0]); err != nil {
		t.Fatal(err)
	}
	if gone := files.Read().Digest; empty == before.Digest || gone == empty || gone == before.Digest {
		t.Error("different contents have the same digest")
	}
}
