package httpclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/google/go-cmp/cmp"
)

func newClient(t *testing.T, h http.HandlerFunc) *httpclient.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL + "/base")
	if err != nil {
		t.Fatal(err)
	}
	c, err := httpclient.New(httpclient.Config{URL: base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestAskSendsOnlyTheQuestion holds that the service gets the proof and what the question says, and nothing else.
func TestAskSendsOnlyTheQuestion(t *testing.T) {
	var got http.Header
	var line, body string
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, line, body = r.Header, r.Method+" "+r.RequestURI, string(b)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, `{"id":"x"}`)
	})
	reply, err := c.Ask(t.Context(), httpclient.Question{
		Method: http.MethodPost, URL: c.URL("a/b"), Body: []byte("hello"),
		Proof:  httpclient.Proof{Header: "X-Session-Token", Value: "t"},
		Header: http.Header{"content-type": {"application/json"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if line != "POST /base/a/b" || body != "hello" {
		t.Errorf("service got %q with body %q", line, body)
	}
	want := http.Header{
		"X-Session-Token": {"t"}, "Content-Type": {"application/json"}, "Content-Length": {"5"}, "User-Agent": {"gatehouse"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("header of the question (-want +got):\n%s", d)
	}
	if reply.Status != http.StatusTeapot || reply.Get("id").Str != "x" {
		t.Errorf("reply is %d %q", reply.Status, reply.Body)
	}
}

// TestMutationsAreSentOnce holds that a question that may change something is not repeated once it was sent, and that another one is, over a
// connection of its own.
func TestMutationsAreSentOnce(t *testing.T) {
	f := func(method string, wantAsked int32) {
		t.Helper()
		var asked atomic.Int32
		c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "warm") {
				return
			}
			asked.Add(1)
			panic(http.ErrAbortHandler) // the connection ends without an answer
		})
		if _, err := c.Ask(t.Context(), httpclient.Question{URL: c.URL("warm")}); err != nil { // so that a kept connection is used
			t.Fatal(err)
		}
		_, err := c.Ask(t.Context(), httpclient.Question{Method: method, URL: c.URL("x"), Body: []byte("b")})
		if err == nil || errors.Is(err, upstream.ErrNotSent) || upstream.Definite(err) {
			t.Errorf("%s: error is %v, want an outage of a question that was sent", method, err)
		}
		if n := asked.Load(); n != wantAsked {
			t.Errorf("%s was sent %d times, want %d", method, n, wantAsked)
		}
	}
	f(http.MethodGet, 2)
	f(http.MethodPost, 1)
	f(http.MethodDelete, 1)
}

// TestNotSent holds that a service which cannot be reached is told from one that does not answer.
func TestNotSent(t *testing.T) {
	base := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	c, err := httpclient.New(httpclient.Config{URL: base})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Ask(t.Context(), httpclient.Question{URL: c.URL("x")}); !errors.Is(err, upstream.ErrNotSent) {
		t.Errorf("error is %v, want ErrNotSent", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Ask(ctx, httpclient.Question{URL: c.URL("x")}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
}

// TestBounds holds that what comes back is bounded, whatever the service sends.
func TestBounds(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 64<<10+1))
	})
	reply, err := c.Ask(t.Context(), httpclient.Question{URL: c.URL("x")})
	if err != nil || reply.BodyErr == nil || reply.Body != nil || reply.IsJSON() {
		t.Errorf("a body over the limit: %v, %v, %d bytes", err, reply.BodyErr, len(reply.Body))
	}
}

// TestProve holds that a credential is written as what it is or not at all.
func TestProve(t *testing.T) {
	all := httpclient.Names{TokenHeader: "X-Token", Cookie: "s", Bearer: true}
	f := func(n httpclient.Names, c upstream.Credential, want httpclient.Proof, wantOK bool) {
		t.Helper()
		got, ok := n.Prove(c)
		if ok != wantOK || ok && got != want {
			t.Errorf("%v of %q: %+v, %t", c, c.Value, got, ok)
		}
	}
	token := func(k upstream.Kind, v string) upstream.Credential {
		return upstream.Credential{Kind: k, Value: []byte(v)}
	}
	f(all, token(upstream.SessionToken, "abc"), httpclient.Proof{Header: "X-Token", Value: "abc"}, true)
	f(all, token(upstream.Bearer, "abc"), httpclient.Proof{Header: "Authorization", Value: "Bearer abc"}, true)
	f(all, token(upstream.Cookie, "a;b"), httpclient.Proof{Header: "Cookie", Value: "s=a; s=b", Cookie: "s"}, true)
	f(all, upstream.Credential{Kind: upstream.Cookie, Name: "other", Value: []byte("a")}, httpclient.Proof{Header: "Cookie", Value: "other=a", Cookie: "other"}, true)
	f(all, upstream.Credential{}, httpclient.Proof{}, false)
	for _, bad := range []string{"", "a b", "a\r\nX: y", "a\x00", "\xc3\xa9", strings.Repeat("a", 8<<10+1)} {
		f(all, token(upstream.SessionToken, bad), httpclient.Proof{}, false)
		f(all, token(upstream.Bearer, bad), httpclient.Proof{}, false)
		f(all, token(upstream.Cookie, bad), httpclient.Proof{}, false)
	}
	f(all, token(upstream.Cookie, "a,b"), httpclient.Proof{}, false)
	f(all, token(upstream.Cookie, ";;"), httpclient.Proof{}, false)
	f(httpclient.Names{}, token(upstream.SessionToken, "abc"), httpclient.Proof{}, false)
	f(httpclient.Names{}, token(upstream.Bearer, "abc"), httpclient.Proof{}, false)
	f(httpclient.Names{}, upstream.Credential{Kind: upstream.Cookie, Name: "s", Value: []byte("a")}, httpclient.Proof{}, false)
}
