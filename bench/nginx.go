package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
)

// nginxConfiguration has nginx remember the answer to auth_request under all credentials of a request, which is what makes it right, and
// keep what it costs low: no logs, no file opened twice, all connections kept. /decide is the decision endpoint; what it answers with is the
// cheapest that nginx sends after auth_request.
const nginxConfiguration = `
user %[1]s;
worker_processes 1;
daemon off;
pid %[2]s/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
	access_log off;
	keepalive_requests 1000000000;
	keepalive_timeout 90s;
	large_client_header_buffers 4 64k;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	proxy_cache_path %[2]s/cache keys_zone=sessions:10m;
	open_file_cache max=1000 inactive=1h;
	upstream app {
		server %[3]s;
		keepalive 64;
		keepalive_requests 1000000000;
	}
	proxy_http_version 1.1;
	server {
		listen %[4]s;
		proxy_set_header Connection "";
		proxy_set_header Host $host;
		proxy_set_header X-Forwarded-For $remote_addr;
		proxy_set_header X-Forwarded-Host $host;
		proxy_set_header X-Forwarded-Proto $scheme;
		location /assets/ { proxy_pass http://app; }
		location = /check {
			internal;
			proxy_pass http://app;
			proxy_pass_request_body off;
			proxy_cache sessions;
			proxy_cache_key "$cookie_ory_kratos_session $http_x_session_token $http_authorization";
			proxy_cache_valid 200 1h;
		}
		auth_request_set $id $upstream_http_x_user_id;
		auth_request_set $email $upstream_http_x_user_email;
		auth_request_set $name $upstream_http_x_user_name;
		auth_request_set $session $upstream_http_x_session_id;
		auth_request_set $aal $upstream_http_x_session_aal;
		location = /decide {
			auth_request /check;
			add_header X-User-Id $id;
			add_header X-User-Email $email;
			add_header X-User-Name $name;
			add_header X-Session-Id $session;
			add_header X-Session-Aal $aal;
			empty_gif;
		}
		location / {
			auth_request /check;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Host $host;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-User-Id $id;
			proxy_set_header X-User-Email $email;
			proxy_set_header X-User-Name $name;
			proxy_set_header X-Session-Id $session;
			proxy_set_header X-Session-Aal $aal;
			proxy_pass http://app;
		}
	}
}
`

// errNoNginx says that there is no nginx to compare with.
var errNoNginx = errors.New("nginx is not installed")

// startNginx runs nginx in front of the application at app.
func startNginx(dir, app string, cpu int) (*server, error) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		return nil, errNoNginx
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := user.Current()
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "nginx")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfiguration, self.Username, dir, app, address), 0o600); err != nil {
		return nil, err
	}
	return start(exec.Command(binary, "-p", dir, "-c", file), address, cpu)
}

// nginxVersion returns what nginx says of itself.
func nginxVersion() string {
	out, err := exec.Command("nginx", "-v").CombinedOutput()
	if err != nil {
		return "no nginx"
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), ": ")
	return version
}
