package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/doctor"
)

// examined is what Gatehouse is told where deployments are examined.
const examined = `
listen: 127.0.0.1:0
admin: ""
upstream: { embedded: { listen: "", admin_listen: 127.0.0.1:0 } }
routes:
  - { match: { path: /assets/* }, access: public }
  - { match: { path: /* }, access: session }
identity_headers: { X-User-Id: identity.id, X-User-Email: identity.traits.email }
login: { url: "http://auth.example.com/login", allowed_hosts: [app.example.com] }
trusted_proxies: [127.0.0.1]
`

// soundNginx asks Gatehouse about every request.
const soundNginx = `
	server_name app.example.com;
	underscores_in_headers off;
	ignore_invalid_headers on;
	large_client_header_buffers 4 16k;
	location = /.gatehouse/auth {
		internal;
		proxy_pass http://GATEHOUSE/.gatehouse/auth/nginx;
		proxy_pass_request_body off;
		proxy_set_header Content-Length "";
		proxy_set_header X-Original-URL $scheme://$host$request_uri;
		proxy_set_header X-Original-Method $request_method;
		proxy_set_header X-Original-URI "";
	}
	location / {
		auth_request /.gatehouse/auth;
		auth_request_set $user $upstream_http_x_user_id;
		auth_request_set $email $upstream_http_x_user_email;
		auth_request_set $login $upstream_http_location;
		error_page 401 = @login;
		proxy_pass http://APP;
		proxy_set_header X-User-Id $user;
		proxy_set_header X-User-Email $email;
		proxy_set_header X-Original-URL "";
		proxy_set_header X-Rewrite-URL "";
		proxy_set_header X-HTTP-Method "";
		proxy_set_header X-HTTP-Method-Override "";
		proxy_set_header X-Method-Override "";
		proxy_set_header X-Middleware-Subrequest "";
	}
	location @login {
		add_header Cache-Control no-store always;
		return 302 $login;
	}`

// soundCaddy does the same.
const soundCaddy = `{
	admin off
	auto_https off
	default_bind 127.0.0.1
}
http://app.example.com:PORT {
	route {
		request_header -*_*
		request_header -*.*
		@names header_regexp Connection (?i)x-
		request_header @names -Connection
		forward_auth GATEHOUSE {
			uri /.gatehouse/auth/caddy
			copy_headers X-User-Id X-User-Email
		}
		request_header -X-Original-Url
		request_header -X-Rewrite-Url
		request_header -X-Http-Method
		request_header -X-Http-Method-Override
		request_header -X-Method-Override
		request_header -X-Middleware-Subrequest
		reverse_proxy APP
	}
}
`

// An examination is a front proxy that may be weak, what it asks, and what it protects.
type examination struct {
	gatehouse *gatehouse
	session   created
	app       string
}

func newExamination(t *testing.T) *examination {
	e := &examination{gatehouse: startWith(t, examined)}
	e.session = e.gatehouse.createSession(t, "alice@example.com")
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.serve(t, w, r) }))
	t.Cleanup(app.Close)
	e.app = strings.TrimPrefix(app.URL, "http://")
	return e
}

// serve is the application. It takes /..; for a way up, as Tomcat does.
func (e *examination) serve(t *testing.T, w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if _, rest, up := strings.Cut(path, "/..;"); up {
		path = rest
	}
	switch path {
	case "/private":
		fmt.Fprint(w, "The private page.")
	case "/assets/style.css":
		fmt.Fprint(w, "The public page.")
	case "/private/headers", "/assets/headers":
		_ = r.Header.Write(w)
	case "/sign-out":
		e.gatehouse.endSession(t, e.session.Session.ID)
	default:
		http.NotFound(w, r)
	}
}

// fill puts addresses into a configuration, and in place of each old, which must be there, the new that follows it.
func (e *examination) fill(t *testing.T, text string, oldnew ...string) string {
	t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("the configuration has no %q", oldnew[i])
		}
		text = strings.Replace(text, oldnew[i], oldnew[i+1], 1)
	}
	return strings.NewReplacer("GATEHOUSE", strings.TrimPrefix(e.gatehouse.url, "http://"), "APP", e.app).Replace(text)
}

// run examines the deployment at an address, and checks what is found.
func (e *examination) run(t *testing.T, address, echo string, want ...string) {
	t.Helper()
	at := func(path string) *url.URL { return &url.URL{Scheme: "http", Host: "app.example.com", Path: path} }
	r, err := doctor.Run(t.Context(), doctor.Options{
		Target: at("/private"), Public: at("/assets/style.css"), Echo: at(echo), Logout: at("/sign-out"), Connect: address,
		Credential: doctor.Credential{Cookie: e.session.Cookie.Value}, CookieName: e.session.Cookie.Name,
		Headers: []string{"X-User-Id", "X-User-Email"}, Identity: "alice@example.com", LogoutWait: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Findings {
		if f.Severity != doctor.Note {
			got = append(got, f.ID)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
		_ = r.Print(t.Output())
	}
}

const private, public = "/private/headers", "/assets/headers"

// TestDoctorNginx examines a real nginx: sound, and weakened in one way.
func TestDoctorNginx(t *testing.T) {
	f := func(name, echo string, oldnew []string, want ...string) {
		t.Run(name, func(t *testing.T) {
			e := newExamination(t)
			e.run(t, startNginx(t, e.fill(t, soundNginx, oldnew...)), echo, want...)
		})
	}
	const asks = "auth_request /.gatehouse/auth;"
	f("sound", private, nil)
	f("sound, with a public echo", public, nil)
	f("open", private, []string{asks, ""}, "open")
	f("a path that is not asked about", private, []string{"location / {", "location /assets/ { proxy_pass http://APP; } location / {"},
		"path_passes")
	f("a path that clients name", private, []string{
		"$scheme://$host$request_uri", "$scheme://$host$target", asks,
		"set $target $request_uri; if ($http_x_forwarded_uri) { set $target $http_x_forwarded_uri; } " + asks,
	}, "claim_believed")
	f("underscores", private, []string{"underscores_in_headers off", "underscores_in_headers on"}, "alias_passes")
	f("identity that is not set", private, []string{"proxy_set_header X-User-Email $email;", ""}, "identity_missing", "identity_spoofed")
	f("headers that change the path", private, []string{`proxy_set_header X-Rewrite-URL "";`, ""}, "rewrite_passes")
	f("a public path of which the headers are not set", public, []string{"location / {", "location /assets/ { proxy_pass http://APP; } location / {"},
		"path_passes", "identity_spoofed", "rewrite_passes")
	f("small buffers", private, []string{"4 16k", "4 4k"}, "large_cookie")
	f("an endpoint for all", private, []string{"internal;", ""}, "endpoint_exposed")
	f("refusals that are cached", private, []string{"no-store always", "max-age=60 always"}, "cacheable")
}

// TestDoctorCaddy examines a real Caddy in the same way.
func TestDoctorCaddy(t *testing.T) {
	f := func(name, echo string, oldnew []string, want ...string) {
		t.Run(name, func(t *testing.T) {
			e := newExamination(t)
			e.run(t, startCaddyWith(t, e.fill(t, soundCaddy, oldnew...)), echo, want...)
		})
	}
	const asks, ask = "forward_auth GATEHOUSE {", "forward_auth @asked GATEHOUSE {"
	f("sound", private, nil)
	f("open", private, []string{asks, "@asked path /admin/*\n" + ask}, "open")
	f("paths that are asked about", private, []string{asks, "@asked path /private /private/* /sign-out\n" + ask}, "path_passes")
	f("an address that is believed", private, []string{asks, "@asked not header X-Forwarded-For 127.0.0.1\n" + ask}, "claim_believed")
	f("methods that are asked about", private, []string{asks, "@asked method GET POST\n" + ask}, "method_passes")
	f("underscores", private, []string{"request_header -*_*", ""}, "alias_passes")
	f("dots", private, []string{"request_header -*.*", ""}, "alias_passes")
	f("identity that Connection names", private, []string{"request_header @names -Connection", ""}, "identity_dropped")
	f("identity that is not copied", private, []string{"copy_headers X-User-Id X-User-Email", "copy_headers X-User-Id"},
		"identity_missing", "identity_spoofed")
	f("headers that change the path", private, []string{"request_header -X-Original-Url", ""}, "rewrite_passes")
	f("a sign-out that ends nothing", private, []string{"reverse_proxy APP", "respond /sign-out 200\nreverse_proxy APP"}, "logout_ignored")
}

// startCaddyWith runs a real Caddy, and waits until it serves. PORT in the configuration is where.
func startCaddyWith(t *testing.T, configuration string) string {
	t.Helper()
	path, err := exec.LookPath("caddy")
	if err != nil {
		t.Fatal("caddy is needed for this test: apt-get install caddy, or run .ci/run")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // Caddy inherits no socket, so it has to get a port that is free
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(address)
	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(strings.Replace(configuration, "PORT", port, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "run", "--adapter", "caddyfile", "--config", file)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		waiting := true
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if waiting && strings.Contains(lines.Text(), "serving initial configuration") {
				waiting = false
				close(ready)
			} else if !strings.Contains(lines.Text(), `"level":"info"`) {
				_, _ = io.WriteString(t.Output(), lines.Text()+"\n")
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		_ = cmd.Wait()
	})
	select {
	case <-ready:
	case <-ended:
		t.Fatal("caddy does not run")
	}
	return address
}
