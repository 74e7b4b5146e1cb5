package doctor

// removal is how a front proxy takes the headers that are shown from what the application gets.
var removal = map[Front]string{
	Nginx:   "Where the application is proxied, for each header shown, such as X-Original-URL: `proxy_set_header X-Original-URL \"\";`.",
	Caddy:   "In the `reverse_proxy` of the application, for each header shown, such as X-Original-URL: `header_up -X-Original-URL`.",
	Traefik: "A headers middleware, for each header shown, such as X-Original-URL, with `customRequestHeaders: { X-Original-URL: \"\" }`.",
	HAProxy: "For each header shown, such as X-Original-URL: `http-request del-header X-Original-URL`.",
	Envoy:   "At the virtual host, each header shown, such as x-original-url: `request_headers_to_remove: [x-original-url]`.",
}

// catalogue says of every finding what it is. Names of advisories stand for the same mistake in other gateways.
var catalogue = map[string]kind{
	"open": {
		title: "The page is served without a session",
		why: "Anybody reads it. Or it is a login page with status 200, which front proxies and this command take for the page " +
			"itself.",
		general: "Let the front proxy ask Gatehouse about this path, and give the path a route with `access: session`; `gatehouse " +
			"decide --url` says which route it has. A login page belongs behind a redirect.",
		fronts: map[Front]string{
			Nginx: "Put `auth_request` into the server, not into one location, and `auth_request off` only where a page is public. A " +
				"location with its own `satisfy any` or `auth_request off` is open.",
			Caddy: "Put `forward_auth` before `reverse_proxy` in the same block; in `handle` blocks, into each of them. Then give " +
				"the path a route with `access: session`.",
			Traefik: "Put the forwardAuth middleware on every router of the application, also on those of other entry points.",
			HAProxy: "Ask Gatehouse in the frontend, and deny or redirect whenever it did not say yes: `http-request deny unless { " +
				"var(txn.auth_response_successful) -m bool }`, or what the script of deploy/haproxy says.",
			Envoy: "Put the ext_authz filter before the router filter, leave `failure_mode_allow` off, and look for routes with " +
				"`disabled: true`.",
		},
	},
	"failing": {
		title: "The page fails without a session",
		why:   "A server that fails refuses too, but it shows nothing of how it would refuse, and people see an error and no sign-in.",
		general: "Read the log of Gatehouse and of the front proxy. Gatehouse must be reached at the endpoint of its kind, and must " +
			"trust the front proxy (`trusted_proxies`).",
		fronts: map[Front]string{
			Nginx: "nginx makes 500 of every answer but 2xx, 401 and 403. Ask at /.gatehouse/auth/nginx, set X-Original-URL and " +
				"X-Original-Method, and list nginx in `trusted_proxies`.",
		},
	},
	"forbidden": {
		title: "Everybody gets 403 or 421: is the host in a route?",
		why: "Who has no session is told to sign in, by 401 or a redirect. These come first where no route knows the host or path " +
			"(`no_route`, `unknown_host`), a route denies it, or the front proxy may not ask. It shows nothing of how the page is protected.",
		general: "Examine a host and path that have a route with `access: session`: `gatehouse decide --url` says which they have, and " +
			"the access log of Gatehouse says why it refused. A front proxy that asks must be in `trusted_proxies`. If yours makes " +
			"403 of every refusal, give --cookie or --token.",
	},
	"unclear": {
		title:   "The page is neither served nor refused without a session",
		why:     "A page that does not exist, or a method that is not allowed, shows nothing of how a page is protected.",
		general: "Name the URL of a page that exists and that needs a session.",
	},
	"cacheable": {
		title: "A refusal may be cached",
		why: "A cache on the way answers people who have signed in with the refusal of somebody who had not, or with their " +
			"redirect (RFC 9111 section 4).",
		general: "Pass on the `Cache-Control: no-store` of Gatehouse, and let nothing write Cache-Control or Expires over it.",
		fronts: map[Front]string{
			Nginx: "nginx answers 401 with a page of its own, to which `expires` and `add_header … always` of the server apply: put " +
				"`add_header Cache-Control no-store always;` into the location that answers it.",
			Caddy: "Caddy passes on the answer of Gatehouse: let `header Cache-Control …` apply to the application's answers only, " +
				"such as in the `handle` block of the assets.",
		},
	},
	"not_no_store": {
		title:   "A refusal does not say that it must not be cached",
		why:     "By HTTP nobody may keep it, but some CDNs do.",
		general: "Pass on the `Cache-Control: no-store` of Gatehouse.",
		fronts:  map[Front]string{Nginx: "Where nginx answers by itself, add `add_header Cache-Control no-store always;`."},
	},
	"reasons_shown": {
		title:   "Refusals say why, in X-Gatehouse-Reason",
		why:     "It is useful while you set things up, and tells an attacker how far a guess came.",
		general: "Set `explain: false`, or remove the header in the front proxy. The access log has the reasons.",
	},
	"session_refused": {
		title: "The session is not let in",
		why: "It may have ended, may lack what the route requires, or the credential is lost on the way. Nothing that needs a " +
			"session could be examined.",
		general: "Try it with a new session, and with `gatehouse decide`. The front proxy must pass on Cookie, Authorization and " +
			"X-Session-Token to Gatehouse. `--cookie-name` must be the name of your cookie.",
		fronts: map[Front]string{
			Traefik: "`authRequestHeaders` must name Cookie, Authorization and X-Session-Token, or be left out. Then try a new session.",
			Envoy: "Envoy passes on only Authorization: `allowed_headers` must name cookie and x-session-token. Then try a new " +
				"session.",
		},
	},
	"garbage_accepted": {
		title: "What is no session is let in",
		why:   "Whoever sends any cookie or token gets in (GHSA-fj56-5763-j8pp).",
		general: "Something takes the presence of a credential for a session: look for such a rule in the front proxy, and let it ask " +
			"Gatehouse each time.",
		fronts: map[Front]string{
			Nginx: "Look for `if ($http_cookie …)`, `map` on a cookie, and a `proxy_cache` in the auth location whose key has no " +
				"credential: it must contain $http_cookie, $http_authorization and $http_x_session_token.",
			Caddy: "Look for matchers on Cookie or Authorization around `forward_auth`, and remove them.",
		},
	},
	"garbage_fails": {
		title:   "What is no session makes it fail",
		why:     "A broken cookie should lead to sign in. As it is, its owner sees an error until the cookie ends.",
		general: "Read the log of Gatehouse: it refuses such credentials with 401. Then look for what makes another status of it.",
	},
	"large_cookie": {
		title:   "8 KB of cookies are too much",
		why:     "Browsers send all cookies of a domain. Whoever has many is locked out until they are deleted.",
		general: "Raise the limit on request headers in the front proxy to 16 KB or more. Gatehouse takes 64 KB.",
		fronts: map[Front]string{
			Nginx:   "Set `large_client_header_buffers 4 32k;` in the http or server block. It bounds one line.",
			Caddy:   "Set `servers { max_header_size 64kb }` in the global options.",
			HAProxy: "Set `tune.bufsize 32768` in the global section. One buffer has to hold all headers.",
			Envoy:   "Raise `max_request_headers_kb` in the connection manager.",
		},
	},
	"claim_believed": {
		title: "What a client claims about its request is believed",
		why:   "The page opens for a header that anybody can send (CVE-2026-40575, CVE-2026-33495).",
		general: "The front proxy must write the headers that describe the request anew, and Gatehouse must be asked at the endpoint " +
			"of that front proxy, which reads no others.",
		fronts: map[Front]string{
			Nginx: "In the location that asks Gatehouse: `proxy_set_header X-Original-URL $scheme://$http_host$request_uri; " +
				"proxy_set_header X-Original-Method $request_method;` and the endpoint /.gatehouse/auth/nginx. Decide nothing by " +
				"$http_x_….",
			Caddy: "Use `forward_auth` with `uri /.gatehouse/auth/caddy`, which writes these headers anew; let no `header_up` write " +
				"them from the request, no matcher look at them, and keep clients out of `trusted_proxies`.",
			Traefik: "Set `trustForwardHeader: false`, ask at /.gatehouse/auth/traefik, and list no client in " +
				"`forwardedHeaders.trustedIPs`.",
			HAProxy: "Before asking: `http-request set-header X-Forwarded-Method %[method]`, X-Forwarded-Uri %[pathq], " +
				"X-Forwarded-Host %[req.hdr(host)] and X-Forwarded-Proto. `set-header`, not `add-header`. Ask at " +
				"/.gatehouse/auth/haproxy.",
			Envoy: "Ask at /.gatehouse/auth/envoy/ or by gRPC, which read the request line. List no x-forwarded-* or x-original-* in " +
				"`allowed_headers`.",
		},
	},
	"identity_believed": {
		title: "A made-up identity header opens the page",
		why:   "Whoever writes the header is whoever they like (CVE-2025-64484, CVE-2026-30851).",
		general: "The application, or a rule of the front proxy, believes the header although nobody has signed in. Ask Gatehouse " +
			"about the path, and remove the identity headers of clients everywhere.",
	},
	"header_routes": {
		title:   "A header turns a public page into another one",
		why:     "Gatehouse judges the path that was asked for, and the application serves the path in the header.",
		general: "Remove each header shown, and the like of it, from what the application gets. Gatehouse does so on its proxy face.",
		fronts:  removal,
	},
	"path_passes": {
		title: "Another way to write the path gets past",
		why:   "The rule sees another path than the application serves (CVE-2026-33494, CVE-2026-34908, CVE-2019-9901).",
		general: "List what is public and let everything else need a session, in Gatehouse, which refuses paths with two readings. Let " +
			"the front proxy ask about every path.",
		fronts: map[Front]string{
			Nginx: "Ask Gatehouse in every location, and let its routes say what is public: a location without `auth_request` passes " +
				"on `/..;/` and backslashes. No `if` or `map` on $request_uri. `proxy_pass` without a path sends what was judged.",
			Caddy: "Put `forward_auth` outside of matchers and let the routes of Gatehouse say what is public: Caddy's path matchers " +
				"see another path than the application.",
			Traefik: "Put the middleware on the public routers too, let the routes of Gatehouse say what is public, and put " +
				"StripPrefix and ReplacePath after it only with prefixes that end in a slash.",
			HAProxy: "Do not exempt paths with `path_beg`: ask about all. `http-request normalize-uri path-strip-dotdot` repairs only " +
				"some.",
			Envoy: "Set `normalize_path: true`, `merge_slashes: true` and `path_with_escaped_slashes_action: REJECT_REQUEST`, and do " +
				"not disable ext_authz by route.",
		},
	},
	"method_passes": {
		title: "Another method or version gets past",
		why:   "Many applications answer HEAD, TRACE and unknown methods like GET, and OPTIONS with more than CORS needs.",
		general: "Ask Gatehouse about every method, and let it answer preflight (`cors` of a route). It takes no TRACE and no unknown " +
			"methods.",
		fronts: map[Front]string{
			Nginx: "No `if ($request_method = OPTIONS)` and no `limit_except` around `auth_request`: ask about every method, and use " +
				"`cors` of the route for preflight.",
			Caddy:   "No `method` matcher around `forward_auth`: ask about every method, and use `cors` of the route for preflight.",
			Traefik: "No `Method(…)` rule on a router without the middleware; use `cors` of the route for preflight.",
			HAProxy: "No `method OPTIONS` in the conditions of asking: use `cors` of the route for preflight.",
		},
	},
	"options_answered": {
		title:   "OPTIONS is answered without a session",
		why:     "The answer is empty, so it tells little. If the application gives it, it was reached by somebody unknown.",
		general: "Let Gatehouse answer preflight (`cors` of a route), and ask it about every other OPTIONS.",
	},
	"upgrade_passes": {
		title:   "A connection is upgraded without a session",
		why:     "What is sent after the upgrade is judged by nobody (RFC 9931).",
		general: "Ask Gatehouse before the upgrade as for any request, and allow `websocket` only.",
	},
	"redirect_bent": {
		title:   "A client decides where people are led back to",
		why:     "A link leads people through your login to a page of somebody else (CVE-2021-21291).",
		general: "List your hosts in `login.allowed_hosts`, and let the front proxy write X-Forwarded-Host or X-Original-URL anew.",
		fronts: map[Front]string{
			Nginx: "Build X-Original-URL from $host or a fixed name, not from X-Forwarded-Host, and list your hosts in " +
				"`login.allowed_hosts`.",
			Caddy: "Caddy takes X-Forwarded-Host from peers in `trusted_proxies`: keep clients out of it, and list your hosts in " +
				"`login.allowed_hosts`.",
			Traefik: "`trustForwardHeader: false`, and list your hosts in `login.allowed_hosts`.",
		},
	},
	"endpoint_exposed": {
		title: "The endpoint for front proxies answers the public",
		why: "It believes headers about requests, and tells whether other paths and sessions would pass. Its answers have the " +
			"identity in them.",
		general: "Let the front proxy pass on nothing below /.gatehouse/auth, and list in `trusted_proxies` only what is a front proxy.",
		fronts: map[Front]string{
			Nginx: "Mark the location that asks Gatehouse `internal;`, and proxy no other path to Gatehouse: `location ^~ " +
				"/.gatehouse/auth { return 404; }`.",
			Caddy:   "Before the rest: `respond /.gatehouse/auth* 404`.",
			Traefik: "Put no router before Gatehouse but for what it proxies: `!PathPrefix(`/.gatehouse/auth`)` in its rule.",
			HAProxy: "`http-request deny deny_status 404 if { path_beg /.gatehouse/auth }` before `use_backend`.",
			Envoy:   "A route with prefix /.gatehouse/auth and `direct_response: { status: 404 }` before the others.",
		},
	},
	"admin_exposed": {
		title:   "The admin listener is open to the public",
		why:     "Whoever reaches it sees configuration and metrics, and can sign everybody out.",
		general: "Bind `admin` to 127.0.0.1 or a network of its own, and let the front proxy pass nothing on to it.",
	},
	"identity_missing": {
		title: "The application is not told whose session it is",
		why:   "It has to take everybody for nobody, or believes what somebody else says.",
		general: "Name the header in `identity_headers`, and let the front proxy copy it from the answer of Gatehouse. `--header` must " +
			"be the name of your header.",
		fronts: map[Front]string{
			Nginx: "For each header: `auth_request_set $user $upstream_http_x_user_id;` and, where the application is proxied, " +
				"`proxy_set_header X-User-Id $user;`.",
			Caddy:   "Name every identity header in `copy_headers`.",
			Traefik: "Name every identity header in `authResponseHeaders`.",
			HAProxy: "`http-request set-header X-User-Id %[var(req.auth_response_header.x_user_id)]` for each header.",
			Envoy:   "Name every identity header in `allowed_upstream_headers`; by gRPC nothing is needed.",
		},
	},
	"identity_spoofed": {
		title: "Clients can write identity headers",
		why:   "Whoever writes the header is whoever they like (CVE-2026-30851, CVE-2026-33433).",
		general: "Remove the header of the client on every path that leads to the application, public ones included, before the value " +
			"of Gatehouse is set.",
		fronts: map[Front]string{
			Nginx: "In every location with a proxy_pass to the application: `proxy_set_header X-User-Id $user;` with " +
				"`auth_request_set`, or with \"\" where nobody is asked. A location with a proxy_set_header of its own inherits none.",
			Caddy: "`request_header -X-User-Id` before `forward_auth`, for every path, and the header in `copy_headers`. Older " +
				"versions of Caddy remove it only if the answer has it.",
			Traefik: "Name the header in `authResponseHeaders`, and put the middleware on the public routers too: it removes what " +
				"clients sent.",
			HAProxy: "`http-request del-header X-User-Id` first of all, for each header, then set-header.",
			Envoy: "By gRPC Gatehouse has them removed. By HTTP name them in `allowed_upstream_headers`, which overwrites; where " +
				"ext_authz is disabled, in `request_headers_to_remove`.",
		},
	},
	"alias_passes": {
		title:   "Clients can write identity headers under another spelling",
		why:     "CGI, WSGI and PHP cannot tell X_User_Id or X.User.Id from X-User-Id (CVE-2025-64484, CVE-2026-54763, CVE-2026-88011).",
		general: "Remove request headers with `_` and `.` in their names in the front proxy. Gatehouse does so on its proxy face.",
		fronts: map[Front]string{
			Nginx: "Leave `underscores_in_headers off` and `ignore_invalid_headers on`, as they are by default.",
			Caddy: "Before `reverse_proxy`: `request_header -*_*` and `request_header -*.*`.",
			Traefik: "At the entry point: `http: { aliasHeadersStrategy: delete }` (3.7.12 and newer); before that " +
				"`underscoreHeadersStrategy: delete` (3.6.20).",
			HAProxy: "`http-request del-header _ -m sub` and `http-request del-header . -m sub`.",
			Envoy: "`headers_with_underscores_action: DROP_HEADER`; names with dots are removed by x-envoy-auth-headers-to-remove of " +
				"Gatehouse, or name them in `request_headers_to_remove`.",
		},
	},
	"identity_dropped": {
		title: "Clients can have identity headers removed",
		why: "The application takes a signed-in person for nobody, or falls back to what it should not (CVE-2024-45410, " +
			"CVE-2026-29054).",
		general: "Update the front proxy: it must drop what Connection and Trailer name before it sets headers. Gatehouse does so on " +
			"its proxy face.",
		fronts: map[Front]string{
			Caddy: "Caddy drops what Connection names after it has set it. Before `reverse_proxy`: `@names header_regexp Connection " +
				"(?i)x-` and `request_header @names -Connection`, or for the prefix that your headers have.",
		},
	},
	"rewrite_passes": {
		title:   "Headers that change path or method reach the application",
		why:     "Symfony, Zend, IIS, Rails, Next.js and others can be made to serve another page than was judged (CVE-2025-29927).",
		general: "Remove them in the front proxy unless you know that the application ignores them. Gatehouse does so on its proxy face.",
		fronts:  removal,
	},
	"credential_forwarded": {
		title: "The credential reaches the application",
		why:   "Whoever breaks into the application, or reads its logs, has the sessions of its users.",
		general: "Behind forward-auth only the front proxy can remove it. The proxy face of Gatehouse does, unless the route has " +
			"`forward_credential`.",
		fronts: map[Front]string{
			Nginx: "If the application needs no cookies: `proxy_set_header Cookie \"\"; proxy_set_header X-Session-Token \"\";`. " +
				"Else use a `map` that cuts out the session cookie, or the proxy face.",
			Caddy: "`request_header -X-Session-Token`, and `request_header Cookie \"ory_kratos_session=[^;]*(; )?\" \"\"` after " +
				"`forward_auth`.",
			Traefik: "Traefik has no way to remove one cookie: use the proxy face, or a middleware that removes Cookie if the " +
				"application needs none.",
			Envoy: "Ask by gRPC: Gatehouse then has the credential removed.",
		},
	},
	"renewal_lost": {
		title:   "A renewed session cookie is lost",
		why:     "People are signed out when the old cookie ends, although their session was extended.",
		general: "The front proxy has to pass on Set-Cookie of an answer that allows.",
		fronts: map[Front]string{
			Nginx: "`auth_request_set $cookie $upstream_http_set_cookie;` and `add_header Set-Cookie $cookie;`.",
			Caddy: "`forward_auth` drops it: write it out as a `reverse_proxy` with `handle_response` and `header +Set-Cookie " +
				"{http.reverse_proxy.header.Set-Cookie}`, or use the proxy face of Gatehouse.",
			Traefik: "`addAuthCookiesToResponse: [ory_kratos_session]`.",
			HAProxy: "HAProxy has no way with auth-request.lua: use the proxy face of Gatehouse.",
			Envoy:   "By HTTP: `allowed_client_headers_on_success` with set-cookie. By gRPC nothing is needed.",
		},
	},
	"logout_late": {
		title: "A sign-out takes a while to be in force",
		why:   "Whoever has the old cookie is let in for that long.",
		general: "Tell Gatehouse of sign-outs (docs/how-to/revoke-a-session.md), every replica of it, or lower " +
			"`session_cache.fresh_for`. Look for a cache of checks in the front proxy.",
		fronts: map[Front]string{
			Nginx: "Look for `proxy_cache` in the location that asks Gatehouse. Then tell Gatehouse of sign-outs " +
				"(docs/how-to/revoke-a-session.md), every replica of it, or lower `session_cache.fresh_for`.",
		},
	},
	"logout_ignored": {
		title: "A sign-out is not in force",
		why:   "Whoever has the old cookie is let in as before.",
		general: "Is that the URL that ends the session at the session service, or does it only delete the cookie? Then tell Gatehouse " +
			"of sign-outs (docs/how-to/revoke-a-session.md), every replica of it.",
	},
}
