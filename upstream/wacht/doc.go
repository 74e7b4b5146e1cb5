// Package wacht asks the Frontend API of a Wacht deployment whose session a credential stands for: GET <url>/session. A [Client] is an
// [upstream.Store].
//
// A session of Wacht is a browser's, and exists before anybody has signed in: 200 means that somebody is signed in only if
// data.active_signin is there, and its user_id is whose session it is. A question without a credential would make the service create a
// session, so none is asked. A 200 without a sign-in is a definite no, and so are 401 and the 404 of a session that is gone; a 404 for a
// host that is no deployment is an outage, like everything else. https://docs.wacht.dev
//
// In production the credential is a cookie with a signed token. In development it is the same token in a query parameter or header, and
// the service renews it in a header of its own, for all who asked at once. A token says when it ends, and nothing is believed beyond that.
//
// The service states no assurance level. A session of it has aal1.
package wacht
