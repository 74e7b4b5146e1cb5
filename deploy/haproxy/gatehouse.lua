-- Asks Gatehouse about each request:
--
--     http-request lua.gatehouse URL NAMES
--
-- URL is the endpoint for HAProxy, with an IP address in it. NAMES are the identity headers, with commas in between. A request that is
-- allowed goes on with them set as Gatehouse says, and txn.renewed_cookie is a renewed session cookie if there is one. Every other is
-- answered as Gatehouse answers, and with 503 if it does not.

-- How long one question may take. HAProxy 2.6 asks up to four times before it gives up.
local milliseconds = 2000

-- What Gatehouse needs of the client's headers: credentials, and what tells a browser from a script.
local asked = {
	"cookie", "authorization", "x-session-token", "x-session-cookie", "accept", "content-type", "origin", "x-requested-with",
	"sec-fetch-mode", "sec-fetch-dest", "sec-websocket-key",
}

-- What belongs to the connection to Gatehouse, and not to its answer.
local hop = { ["connection"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true, ["content-length"] = true }

-- values returns the values of a header in order. HAProxy counts them from 0.
local function values(header)
	local list = {}
	local i = 0
	while header and header[i] do
		list[#list + 1] = header[i]
		i = i + 1
	end
	return list
end

local function question(txn)
	local sent, headers = txn.http:req_get_headers(), {}
	for _, name in ipairs(asked) do
		if sent[name] then
			headers[name] = values(sent[name])
		end
	end
	headers["x-forwarded-method"] = { txn.sf:method() }
	headers["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" }
	headers["x-forwarded-host"] = { txn.sf:req_hdr("host") }
	headers["x-forwarded-uri"] = { txn.sf:pathq() }
	return headers
end

local function refuse(txn, answer)
	local reply = txn:reply({ status = 503 })
	if answer and answer.status >= 300 then
		reply:set_status(answer.status)
		for name, header in pairs(answer.headers) do
			if not hop[name] then
				for _, value in ipairs(values(header)) do
					reply:add_header(name, value)
				end
			end
		end
		if txn.sf:method() ~= "HEAD" then
			reply:set_body(answer.body)
		end
	else
		reply:add_header("retry-after", "1")
		reply:add_header("cache-control", "no-store")
	end
	txn:done(reply)
end

core.register_action("gatehouse", { "http-req" }, function(txn, url, names)
	local answer = core.httpclient():get({ url = url, headers = question(txn), timeout = milliseconds })
	if not answer or answer.status ~= 200 then
		return refuse(txn, answer)
	end
	for name in string.gmatch(names, "[^,]+") do
		txn.http:req_del_header(name)
		for _, value in ipairs(values(answer.headers[name])) do
			txn.http:req_add_header(name, value)
		end
	end
	local cookies = values(answer.headers["set-cookie"])
	if #cookies > 0 then
		txn:set_var("txn.renewed_cookie", cookies[#cookies])
	end
end, 2)
