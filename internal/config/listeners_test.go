package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

const kratosOnly = "upstream: { kratos: { url: http://127.0.0.1:4433 } }\ntrusted_proxies: [10.0.0.1, unix]\n"

// Listeners can be given in several forms, in the file and in the environment, and are printed in the shortest.
func TestListeners(t *testing.T) {
	own := &config.TLS{CertFile: "c", KeyFile: "k", ClientAuth: config.ClientAuthNone}
	f := func(text, variable, wantPrinted string, want ...config.Listener) {
		t.Helper()
		// Not every one of these has a socket that trusted_proxies could mean.
		text, wantPrinted = "listen: "+text+"\n", "listen:"+wantPrinted+"\nadmin:"
		base := kratosOnly
		if !strings.Contains(text, "unix:") && !strings.Contains(text, "systemd") {
			base = strings.Replace(base, ", unix", "", 1)
		}
		c := parse(t, base+text)
		if diff := cmp.Diff(config.Listeners(want), c.Listen); diff != "" {
			t.Errorf("%s: listeners (-want +got):\n%s", text, diff)
		}
		if got := printed(t, c); !strings.HasPrefix(got, wantPrinted) {
			t.Errorf("%s: printed as\n%s", text, got)
		}
		equal(t, parse(t, printed(t, c)), c)
		equal(t, parse(t, base+"listen: unix:/replaced", "GATEHOUSE_LISTEN="+variable), c)
	}
	f(`":80"`, ":80", " :80", config.Listener{Address: ":80"})
	f(`"[::1]:80"`, "[::1]:80", " '[::1]:80'", config.Listener{Address: "[::1]:80"})
	f(`[":80"]`, "[':80']", " :80", config.Listener{Address: ":80"})
	f(`[{ address: ":80" }]`, "[{address: :80}]", " :80", config.Listener{Address: ":80"})
	f("systemd", "systemd", " systemd", config.Listener{Address: "systemd"})
	f(`["[::1]:80", "[::1]:81"]`, "[::1]:80, [::1]:81", "\n- '[::1]:80'\n- '[::1]:81'",
		config.Listener{Address: "[::1]:80"}, config.Listener{Address: "[::1]:81"})
	f("[unix:/a, systemd:web, systemd:api]", "unix:/a,systemd:web,systemd:api", "\n- unix:/a\n- systemd:web\n- systemd:api",
		config.Listener{Address: "unix:/a"}, config.Listener{Address: "systemd:web"}, config.Listener{Address: "systemd:api"})
	f(`[":80", { address: unix:/a, proxy_protocol: true }, { address: ":443", tls: { cert_file: c, key_file: k } }]`,
		"[':80', {address: unix:/a, proxy_protocol: true}, {address: ':443', tls: {cert_file: c, key_file: k}}]", `
- :80
- address: unix:/a
  proxy_protocol: true
- address: :443
  tls:
    cert_file: c
    key_file: k
    client_ca_file: ''
    client_auth: none
  proxy_protocol: false`,
		config.Listener{Address: ":80"},
		config.Listener{Address: "unix:/a", ProxyProtocol: true},
		config.Listener{Address: ":443", TLS: own})
	f(`["127.0.0.1:0", "127.0.0.1:0"]`, "127.0.0.1:0,127.0.0.1:0", "\n- 127.0.0.1:0\n- 127.0.0.1:0",
		config.Listener{Address: "127.0.0.1:0"}, config.Listener{Address: "127.0.0.1:0"})
}

// The section tls counts for every listener that has none of its own.
func TestTLSOf(t *testing.T) {
	c := parse(t, kratosOnly+`
listen: [unix:/g.sock, ":80", { address: ":443", tls: { cert_file: own, key_file: k } }]
tls: { cert_file: common, key_file: k }
`)
	for i, want := range []string{"common", "common", "own"} {
		if got := c.TLSOf(c.Listen[i]).CertFile; got != want {
			t.Errorf("%s: got the certificate %s, want %s", c.Listen[i].Address, got, want)
		}
	}
	c.TLS = nil
	if got := c.TLSOf(c.Listen[1]); got != nil {
		t.Errorf("got %+v without a section tls", got)
	}
	if got := parse(t, kratosOnly+"listen: unix:/g.sock", "GATEHOUSE_TLS_CERT_FILE=c", "GATEHOUSE_TLS_KEY_FILE=k").TLS; got == nil ||
		*got != (config.TLS{CertFile: "c", KeyFile: "k", ClientAuth: config.ClientAuthNone}) {
		t.Errorf("got %+v from the environment", got)
	}
}
