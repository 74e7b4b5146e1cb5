package embedded_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

func decode(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTokens tests that the tokens of Wacht say what they should, and that whoever knows the public keys can verify them.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, embedded.Config{Dialect: whoami.Wacht, BaseURL: "http://wacht.test/"})
		c := w.create(user("a@example.test"))
		at := time.Now().Unix()

		jwk := gjson.Get(w.public("GET", "/.well-known/jwks.json", "").body, "keys.0")
		if jwk.Get("kty").Str != "EC" || jwk.Get("crv").Str != "P-256" || jwk.Get("alg").Str != "ES256" {
			t.Fatalf("keys: %s", jwk.Raw)
		}
		point := append(append([]byte{4}, decode(t, jwk.Get("x").Str)...), decode(t, jwk.Get("y").Str)...)
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			t.Fatal(err)
		}
		read := func(token string) string {
			t.Helper()
			parts := strings.Split(token, ".")
			digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
			signature := decode(t, parts[2])
			a, b := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			if head := string(decode(t, parts[0])); head != `{"alg":"ES256","typ":"JWT"}` || !ecdsa.Verify(key, digest[:], a, b) {
				t.Errorf("token %s is not signed", token)
			}
			return string(decode(t, parts[1]))
		}
		f := func(claims, path string, want any) {
			t.Helper()
			got := gjson.Get(claims, path)
			if number, ok := want.(int64); got.String() != want && (!ok || got.Int() != number) {
				t.Errorf("%s of %s is not %v", path, claims, want)
			}
		}
		session := read(c.SessionToken)
		f(session, "iss", "http://wacht.test")
		f(session, "sess", c.SessionID)
		f(session, "iat", at)
		f(session, "exp", at+6*3600)

		answer := w.public("GET", "/session/token?template=default", "", cookieHeader(c)).body
		token := gjson.Get(answer, "data.token").Str
		backend := read(token)
		f(backend, "sub", c.IdentityID)
		f(backend, "session_id", c.SessionID)
		f(backend, "nbf", at-5)
		f(backend, "exp", at+30)
		f(answer, "data.expires", (at+30)*1000)
		if a := w.public("GET", "/session", "", "X-Development-Session: "+token); !strings.Contains(a.body, `"id":"0"`) {
			t.Errorf("what is for a backend signs in: %s", a.body)
		}
	})
}

// TestTokensRenew tests that every answer of Wacht's renews the token, in the way in which it came, and that an old one is good for as long
// as the session lives, over a restart as well.
func TestTokensRenew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	s, err := embedded.Open(embedded.Config{Dialect: whoami.Wacht, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Create(user("a@example.test"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := open(t, embedded.Config{Dialect: whoami.Wacht})
		c := w.create(user("b@example.test"))
		ask := func(header string, want bool) (token, cookie string) {
			t.Helper()
			a := w.public("GET", "/session", "", header)
			if strings.Contains(a.body, c.SessionID) != want {
				t.Errorf("%s: %s", header, a.body)
			}
			return a.header.Get("X-Development-Session"), a.header.Get("Set-Cookie")
		}
		if token, cookie := ask("X-Development-Session: "+c.SessionToken, true); token == "" || token == c.SessionToken || cookie != "" {
			t.Errorf("a token is renewed by %q and %q", token, cookie)
		}
		token, cookie := ask(cookieHeader(c), true)
		if token != "" || !strings.HasPrefix(cookie, "__session=ey") || strings.Contains(cookie, c.SessionToken) {
			t.Errorf("a cookie is renewed by %q and %q", token, cookie)
		}
		short := user("c@example.test")
		short.ExpiresIn = time.Hour
		if a := w.public("GET", "/session", "", cookieHeader(w.create(short))); a.header.Get("Set-Cookie") == "" {
			t.Error("a cookie that ends with its session is not renewed")
		}
		time.Sleep(7 * time.Hour) // past the end of the token
		ask(cookieHeader(c), true)
		time.Sleep(18 * time.Hour) // past that of the session
		ask(cookieHeader(c), false)
	})
	w := open(t, embedded.Config{Dialect: whoami.Wacht, Path: path})
	if a := w.public("GET", "/session", "", cookieHeader(c)); !strings.Contains(a.body, c.SessionID) {
		t.Errorf("after a restart: %s", a.body)
	}
}

// TestForgedTokens tests that nothing but a token that was signed here, as it was signed, is believed.
func TestForgedTokens(t *testing.T) {
	w := open(t, embedded.Config{Dialect: whoami.Wacht})
	c := w.create(user("a@example.test"))
	parts := strings.Split(c.SessionToken, ".")
	encode := base64.RawURLEncoding.EncodeToString
	payload := decode(t, parts[1])
	f := func(token string, want bool) {
		t.Helper()
		a := w.public("GET", "/session", "", "X-Development-Session: "+token)
		if strings.Contains(a.body, c.SessionID) != want {
			t.Errorf("%s: %s", token, a.body)
		}
	}
	f(c.SessionToken, true)
	f(parts[0]+"."+parts[1]+".", false)
	f(parts[0]+"."+parts[1], false)
	f(encode([]byte(`{"alg":"none"}`))+"."+parts[1]+".", false)
	f(encode([]byte(`{"alg":"none"}`))+"."+parts[1]+"."+parts[2], false)
	f(parts[0]+"."+encode(append(payload, ' '))+"."+parts[2], false)
	f(parts[0]+"."+parts[1]+"."+encode(make([]byte, 64)), false)
	f(parts[0]+"."+parts[1]+"."+parts[2]+"AA", false)
	f(c.SessionToken+".x", false)
	f("..", false)
	for n := range len(c.SessionToken) {
		forged := []byte(c.SessionToken)
		if forged[n] ^= 1; forged[n] > ' ' {
			f(string(forged), false)
		}
	}
}
