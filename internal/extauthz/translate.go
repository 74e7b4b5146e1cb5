//go:build !core

package extauthz

import (
	"net/http"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// routeKey is the key in context_extensions, which are set by route in Envoy's configuration, under which a route of ours is named.
const routeKey = "route"

// description returns what Envoy asks. What is missing is empty, and refused for that.
func description(req *authv3.CheckRequest) *proxy.Description {
	attributes := req.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	q := &proxy.Description{
		Method: http.GetMethod(),
		Scheme: http.GetScheme(),
		Host:   http.GetHost(),
		Target: http.GetPath(),
		Route:  attributes.GetContextExtensions()[routeKey],
	}
	add := func(name, value string) {
		if !strings.HasPrefix(name, ":") { // a pseudo-header, which is told above
			q.Header = append(q.Header, proxy.HeaderLine{Name: strings.ToLower(name), Value: value})
		}
	}
	for name, value := range http.GetHeaders() {
		add(name, value)
	}
	for _, h := range http.GetHeaderMap().GetHeaders() { // if Envoy is told to encode_raw_headers
		add(h.GetKey(), h.GetValue()+string(h.GetRawValue()))
	}
	return q
}

// answer returns what Envoy is answered.
func answer(o *proxy.Outcome) *authv3.CheckResponse {
	var client []*corev3.HeaderValueOption
	for _, value := range o.SetCookie {
		client = append(client, header("Set-Cookie", value, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD))
	}
	var lines []*corev3.HeaderValueOption
	for _, h := range o.Header {
		lines = append(lines, header(h.Name, h.Value, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
	}
	if o.Status == http.StatusOK {
		for _, h := range o.Renewed {
			client = append(client, header(h.Name, h.Value, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
		}
		return &authv3.CheckResponse{
			Status: &statuspb.Status{Code: int32(codes.OK)},
			HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
				Headers: lines, HeadersToRemove: o.Remove, ResponseHeadersToAdd: client, QueryParametersToRemove: o.Parameters,
			}},
		}
	}
	return &authv3.CheckResponse{
		Status: &statuspb.Status{Code: int32(code(o.Status))},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status:  &typev3.HttpStatus{Code: statusOf(o.Status)},
			Headers: append(lines, client...),
			Body:    strings.ToValidUTF8(string(o.Body), "\uFFFD"), // another would be an error of gRPC
		}},
	}
}

// header returns a header line. Envoy drops an empty one unless it is told not to, and the client's would stay.
func header(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{Key: strings.ToLower(name), Value: value}, AppendAction: action, KeepEmptyValue: true,
	}
}

// code returns the code of gRPC for a refusal. To Envoy all of them are alike.
func code(status int) codes.Code {
	switch {
	case status == http.StatusUnauthorized:
		return codes.Unauthenticated
	case status >= http.StatusInternalServerError:
		return codes.Unavailable
	default:
		return codes.PermissionDenied
	}
}

// statusOf returns a status as Envoy knows it, and 403 for one that it does not know.
func statusOf(status int) typev3.StatusCode {
	if _, known := typev3.StatusCode_name[int32(status)]; !known || status == 0 {
		return typev3.StatusCode_Forbidden
	}
	return typev3.StatusCode(status)
}
