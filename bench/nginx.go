package main

import (
	"fmt"
	"os/exec"
	"os/user"
)

// nginxConfiguration has nginx remember the answer to auth_request under all credentials of a request, which is what makes it right, and
// keep what it costs low: no logs, all connections kept. /decide is the decision endpoint; what it answers with is the cheapest that nginx
// sends after auth_request.
const nginxConfiguration = `
user %[1]s;
worker_processes 1;
daemon off;
pid %[2]s/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile %[5]d;
events { worker_connections 25000; }
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
	%[6]s
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
		location = /ok { return 200; }
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

// nginx is tuned: the file with a remembered answer is opened once. nginxDefaults opens it for each request, as nginx does where nobody has
// thought of that.
var (
	nginx         = nginxWith("nginx", "open_file_cache max=1000 inactive=1h;")
	nginxDefaults = nginxWith("nginx, defaults", "")
)

func nginxWith(name, tuning string) kind {
	return kind{name, func(a *arena) (*server, error) { return a.startNginx(tuning) }}
}

func (a *arena) startNginx(tuning string) (*server, error) {
	binary, err := program("nginx")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := user.Current()
	if err != nil {
		return nil, err
	}
	dir, err := a.directory("nginx")
	if err != nil {
		return nil, err
	}
	files, err := mostFiles()
	if err != nil {
		return nil, err
	}
	text := fmt.Appendf(nil, nginxConfiguration, self.Username, dir, a.app.address, address, min(files, 30_000), tuning)
	file, err := a.write("nginx.conf", text)
	if err != nil {
		return nil, err
	}
	return start(exec.Command(binary, "-p", dir, "-c", file), address, a.cpus.server)
}
