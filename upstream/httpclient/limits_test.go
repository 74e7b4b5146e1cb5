package httpclient_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

// TestTooManyQuestions holds that 429 is an outage that says for how long the service wants to be asked nothing.
func TestTooManyQuestions(t *testing.T) {
	f := func(status int, want time.Duration, lines ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			r := httpclient.Reply{Status: status, Header: http.Header{}}
			for i := 0; i < len(lines); i += 2 {
				r.Header.Add(lines[i], lines[i+1])
			}
			err := r.Outage("/whoami")
			pause, _ := errors.AsType[*upstream.Pause](err)
			if upstream.Definite(err) || (pause != nil) != (want > 0) || pause != nil && pause.For != want {
				t.Errorf("%d %q: %v, want a pause of %v", status, lines, err, want)
			}
		})
	}
	f(429, 0)
	f(429, 3*time.Second, "Retry-After", "3")
	f(429, time.Second, "Retry-After", "Sat, 01 Jan 2000 00:00:01 GMT") // a bubble begins in 2000
	f(429, 0, "Retry-After", "Fri, 31 Dec 1999 00:00:00 GMT")
	f(429, 7*time.Second, "X-Retry-After", "7")
	f(429, 20*time.Second, "X-RateLimit-Reset", "20")
	f(429, 20*time.Second, "x-ratelimit-reset", "20, 1;w=1")
	f(429, time.Hour, "X-RateLimit-Reset", "946688400")
	f(429, 3*time.Second, "Retry-After", "3", "X-RateLimit-Reset", "20")
	f(429, 20*time.Second, "Retry-After", "soon", "X-RateLimit-Reset", "20")
	f(429, 0, "Retry-After", "-1")
	f(429, 0, "Retry-After", "99999999999999999999")
	f(200, 0, "X-RateLimit-Reset", "20")
	f(503, 0, "Retry-After", "3")
}

// TestRemaining holds that what is left of a limit is told with every answer that says it, whatever its status.
func TestRemaining(t *testing.T) {
	f := func(want int64, header, value string) {
		t.Helper()
		base := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, value)
			w.WriteHeader(http.StatusTooManyRequests)
		}).URL("")
		got := int64(-1)
		c, err := httpclient.New(httpclient.Config{URL: base, Remaining: func(n int64) { got = n }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Ask(t.Context(), httpclient.Question{URL: base}); err != nil || got != want {
			t.Errorf("%s: %s: told %d (%v), want %d", header, value, got, err, want)
		}
	}
	f(9, "X-RateLimit-Remaining", "9")
	f(0, "x-ratelimit-remaining", "0")
	f(9, "X-RateLimit-Remaining", " 9, 9;w=1, 299;w=60")
	f(9, "RateLimit-Remaining", "9")
	f(-1, "X-RateLimit-Remaining", "many")
	f(-1, "X-RateLimit-Remaining", "-1")
	f(-1, "X-RateLimit-Limit", "10")
}
