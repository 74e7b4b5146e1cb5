package proxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// Who speaks TLS where HTTP is gets an answer at once, and the operator is told once what to change, and nothing of what was sent.
func TestTLSWhereHTTPIs(t *testing.T) {
	f := func(hello string) {
		t.Helper()
		g := newGateway(t, nil, limiting(proxy.Limits{HeadTimeout: time.Hour})) // for which nobody waits
		for range 2 {
			c := g.dial()
			c.send(hello)
			if res := c.next("GET"); res.StatusCode != http.StatusBadRequest || !res.Close {
				t.Errorf("%q: status %d, close %v", hello, res.StatusCode, res.Close)
			}
			_ = c.Close()
		}
		log := g.log.String()
		if strings.Count(log, "client speaks TLS where HTTP is: let it use http://") != 1 || !strings.Contains(log, g.addr) ||
			strings.Contains(log, "s3cr3t") {
			t.Errorf("%q: log %s", hello, log)
		}
	}
	f("\x16\x03\x01\x02\x00\x01\x00\x01\xfcs3cr3t")
	f("\x16")
	f("\x16\x03\x01\x02\x00s3cr3t\r\n\r\n")
}

// A Go client that is given https:// by mistake learns what is wrong.
func TestHTTPSToHTTP(t *testing.T) {
	g := newGateway(t, nil)
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if _, err := c.Get("https://" + g.addr); err == nil || !strings.Contains(err.Error(), "HTTP response to HTTPS client") {
		t.Errorf("error %v", err)
	}
	if want := "client speaks TLS where HTTP is"; !strings.Contains(g.log.String(), want) {
		t.Errorf("log %s, want %q", g.log, want)
	}
}
