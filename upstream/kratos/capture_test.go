package kratos_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A capture is a question to a real Kratos v26.2.0 and its answer.
type capture struct {
	query      string
	credential upstream.Credential // the one that counts, which Kratos' precedence says
	line       string              // its header line
	status     int
	header     http.Header
	body       []byte
	raw        string // the whole response
}

func readCapture(t *testing.T, file string) capture {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found1 := strings.Cut(string(data), ">>> REQUEST\n")
	request, rest, found2 := strings.Cut(rest, "\r\n\r\n")
	_, rest, found3 := strings.Cut(rest, "<<< RESPONSE\n")
	head, body, found4 := strings.Cut(rest, "\r\n\r\n")
	if !found1 || !found2 || !found3 || !found4 {
		t.Fatalf("%s is not a capture", file)
	}
	var c capture
	lines := strings.Split(request, "\r\n")
	target := strings.Fields(lines[0])[1]
	_, c.query, _ = strings.Cut(target, "?")
	c.credential, c.line = presented(lines[1:])

	lines = strings.Split(head, "\r\n")
	if c.status, err = strconv.Atoi(strings.Fields(lines[0])[1]); err != nil {
		t.Fatal(err)
	}
	c.header = make(http.Header)
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		c.header.Add(name, strings.TrimSpace(value))
	}
	n, err := strconv.Atoi(c.header.Get("Content-Length"))
	if err != nil || n > len(body) {
		t.Fatalf("%s has no body of its length", file)
	}
	c.body, c.raw = []byte(body[:n]), head+"\r\n\r\n"+body[:n]
	return c
}

// presented returns the credential of a request that counts, and the header line in which alone it should be sent.
func presented(lines []string) (upstream.Credential, string) {
	values := make(map[string][]string)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		values[strings.ToLower(name)] = append(values[strings.ToLower(name)], value)
	}
	if tokens := values["x-session-token"]; len(tokens) > 0 && tokens[0] != "" {
		return upstreamtest.Token(tokens[0]), "X-Session-Token: " + tokens[0]
	}
	var name string
	var cookies []string
	for _, pair := range strings.Split(strings.Join(values["cookie"], "; "), "; ") {
		if n, value, _ := strings.Cut(pair, "="); n == cookieName || n == "ory_session_slug" {
			name, cookies = n, append(cookies, value)
		}
	}
	if len(cookies) > 0 {
		return upstreamtest.Cookie(name, cookies...), "Cookie: " + name + "=" + strings.Join(cookies, "; "+name+"=")
	}
	if lines := values["authorization"]; len(lines) > 0 {
		_, token, _ := strings.Cut(lines[0], " ")
		return upstreamtest.Bearer(token), "Authorization: Bearer " + token
	}
	return upstream.Credential{}, ""
}

// TestCaptures asks what was asked of a real Kratos, and hears what it said. Of the credentials that a captured request held, the client
// is given the one that counts.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob("testdata/*whoami*.http")
	if err != nil {
		t.Fatal(err)
	}
	precedence, err := filepath.Glob("testdata/precedence-*.http")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]int)
	for _, file := range append(files, precedence...) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			want := readCapture(t, file)
			seen[want.status]++
			peer, client := newPeer(t, say(want.raw))
			if want.query != "" {
				got, err := client.Forward(t.Context(), want.credential, []byte(want.query))
				checkReply(t, want, got, err)
			} else {
				got, err := client.Session(t.Context(), want.credential)
				checkAnswer(t, want, got, err)
			}
			target := "/sessions/whoami"
			if want.query != "" {
				target += "?" + want.query
			}
			requests := []string{question(target, want.line)}
			if bytes.ContainsRune(want.credential.Value, ' ') {
				requests = nil // neither a token nor a bearer token can hold a space; Kratos' own answer was 401
			}
			if diff := cmp.Diff(requests, peer.asked()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff(map[int]int{200: 40, 400: 1, 401: 23, 403: 3, 500: 5}, seen); diff != "" {
		t.Errorf("captures by status (-want +got):\n%s", diff)
	}
}

func checkAnswer(t *testing.T, want capture, got upstream.Answer, err error) {
	t.Helper()
	switch want.status {
	case 200:
		if err != nil {
			t.Fatal(err)
		}
	case 401:
		if !errors.Is(err, upstream.ErrNoSession) {
			t.Errorf("error = %v, want ErrNoSession", err)
		}
		return
	case 403:
		refusal, _ := errors.AsType[*upstream.Refusal](err)
		if diff := cmp.Diff(upstreamtest.AAL2Refusal(), refusal); diff != "" {
			t.Errorf("refusal (-want +got):\n%s", diff)
		}
		return
	default:
		if err == nil || upstream.Definite(err) || !strings.Contains(err.Error(), strconv.Itoa(want.status)) {
			t.Errorf("error = %v, want an outage that names the status", err)
		}
		return
	}
	var body struct {
		ID              string
		ExpiresAt       time.Time `json:"expires_at"`
		AuthenticatedAt time.Time `json:"authenticated_at"`
		AAL             string    `json:"authenticator_assurance_level"`
		Identity        struct{ ID string }
	}
	if err := json.Unmarshal(want.body, &body); err != nil {
		t.Fatal(err)
	}
	s := got.Session
	if s.ID != body.ID || s.IdentityID != body.Identity.ID || s.AAL.String() != body.AAL ||
		!s.ExpiresAt.Equal(body.ExpiresAt) || !s.AuthenticatedAt.Equal(body.AuthenticatedAt) || s.ExpiresAt.IsZero() {
		t.Errorf("session is %s of %s, %v, from %v to %v, want %+v", s.ID, s.IdentityID, s.AAL, s.AuthenticatedAt, s.ExpiresAt, body)
	}
	if !bytes.Equal(s.Body, want.body) {
		t.Errorf("body is\n%s\nwant\n%s", s.Body, want.body)
	}
	believe := upstream.Unlimited
	if seconds, err := strconv.Atoi(want.header.Get("Ory-Session-Cache-For")); err == nil {
		believe = time.Duration(seconds) * time.Second
	}
	if got.BelieveFor != believe {
		t.Errorf("BelieveFor = %v, want %v", got.BelieveFor, believe)
	}
	if diff := cmp.Diff(upstreamtest.SetCookie(renewed(want)...), got.Renewed); diff != "" {
		t.Errorf("renewed (-want +got):\n%s", diff)
	}
}

func checkReply(t *testing.T, want capture, got upstream.Reply, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	reply := upstream.Reply{Status: want.status, Body: want.body}
	for _, name := range []string{"Content-Type", "Ory-Error-Id", "X-Kratos-Authenticated-Identity-Id"} {
		if value := want.header.Get(name); value != "" {
			reply.Header = append(reply.Header, upstream.Field{Name: name, Value: value})
		}
	}
	for _, line := range renewed(want) {
		reply.Header = append(reply.Header, upstream.Field{Name: "Set-Cookie", Value: line})
	}
	if diff := cmp.Diff(reply, got); diff != "" {
		t.Errorf("reply (-want +got):\n%s", diff)
	}
}

// renewed returns the lines that renew the session cookie. A token that was sent renews no cookie, even where Kratos sent one.
func renewed(c capture) []string {
	if c.credential.Kind != upstream.Cookie {
		return nil
	}
	return slices.Clone(c.header["Set-Cookie"])
}

// The fake service of other packages' tests says a definite no in the words of Kratos.
func TestFakeServiceSpeaksLikeKratos(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		if got := string(readCapture(t, "testdata/"+file).body); got != want {
			t.Errorf("%s says\n%swant\n%s", file, got, want)
		}
	}
	f("whoami-401-unknown-token.http", upstreamtest.NoSessionBody)
	f("whoami-403-aal2-required.http", upstreamtest.AAL2Body)
}
