package upstream_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// TestCredentialIsHidden holds that however a credential is printed by mistake, its value does not appear.
func TestCredentialIsHidden(t *testing.T) {
	c := upstream.Credential{Kind: upstream.Bearer, Name: "n", Value: []byte("s3cr3t")}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+verb+"\n", c, &c)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "c", c, "p", &c, "in", struct{ C upstream.Credential }{c})
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "c", c, "p", &c, "in", struct{ C upstream.Credential }{c})
	if err := json.NewEncoder(&out).Encode(map[string]any{"c": c, "p": &c}); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"s3cr3t", "733363723374", "[115", "czNjcjN0"} { // plain, hexadecimal, bytes, base64
		if strings.Contains(out.String(), secret) {
			t.Errorf("the value is printed:\n%s", out.String())
		}
	}
}

// TestZeroValuesDeny holds that whatever is forgotten to be filled in is no permission.
func TestZeroValuesDeny(t *testing.T) {
	var (
		kind upstream.Kind
		aal  upstream.AAL
		a    upstream.Answer
	)
	if kind != upstream.NoCredential || kind.String() != "none" {
		t.Errorf("the zero Kind is %v", kind)
	}
	if aal >= upstream.AAL1 {
		t.Errorf("the zero AAL is %v", aal)
	}
	if a.BelieveFor != 0 || a.Source != upstream.Asked {
		t.Errorf("the zero Answer may be believed for %v and comes from %v", a.BelieveFor, a.Source)
	}
}

func TestParse(t *testing.T) {
	for _, k := range upstream.Kinds {
		if got, ok := upstream.ParseKind(k.String()); !ok || got != k {
			t.Errorf("ParseKind(%q) = %v, %v", k, got, ok)
		}
	}
	for _, a := range []upstream.AAL{upstream.AAL0, upstream.AAL1, upstream.AAL2, upstream.AAL3} {
		if got, ok := upstream.ParseAAL(a.String()); !ok || got != a {
			t.Errorf("ParseAAL(%q) = %v, %v", a, got, ok)
		}
	}
	for _, s := range []string{"", "none", "Cookie", "cookie "} {
		if k, ok := upstream.ParseKind(s); ok {
			t.Errorf("ParseKind(%q) = %v", s, k)
		}
	}
	for _, s := range []string{"", "aal", "aal4", "AAL1", "aal1 ", "aal10", "1"} {
		if a, ok := upstream.ParseAAL(s); ok || a != upstream.AAL0 {
			t.Errorf("ParseAAL(%q) = %v, %v", s, a, ok)
		}
	}
}

// TestDefinite holds the line between a no and an outage, which decides what may be remembered.
func TestDefinite(t *testing.T) {
	f := func(err error, want bool) {
		t.Helper()
		if got := upstream.Definite(err); got != want {
			t.Errorf("Definite(%v) = %v", err, got)
		}
	}
	refusal := &upstream.Refusal{Status: 403, ErrorID: "session_aal2_required", Body: []byte("s3cr3t")}
	f(nil, false)
	f(upstream.ErrNoSession, true)
	f(fmt.Errorf("ask: %w", upstream.ErrNoSession), true)
	f(refusal, true)
	f(fmt.Errorf("ask: %w", refusal), true)
	f(errors.New("no session"), false)
	f(upstream.ErrNotSent, false)
	if s := refusal.Error(); strings.Contains(s, "s3cr3t") || !strings.Contains(s, "403") || !strings.Contains(s, refusal.ErrorID) {
		t.Errorf("a refusal reads %q", s)
	}
}

func TestSession(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f := func(expires time.Time, want bool) {
		t.Helper()
		s := upstream.Session{ExpiresAt: expires}
		if got := s.Expired(now); got != want {
			t.Errorf("a session that expires at %v is expired at %v: %v", expires, now, got)
		}
	}
	f(now.Add(time.Nanosecond), false)
	f(now, true)
	f(now.Add(-time.Hour), true)
	f(time.Time{}, false)

	var s upstream.Session
	if s.Memo() != nil {
		t.Error("a new session has a memo")
	}
	first, second := "a", "b"
	s.SetMemo(&first)
	s.SetMemo(&second)
	if got := s.Memo(); got != &second {
		t.Errorf("got memo %v, want the last", got)
	}
}
