// Package crossid asks Crossid whose session a credential stands for: GET <url>/api/v1/auth/sessions/whoami. A [Client] is an
// [upstream.Store].
//
// What is known of the service is its published description, https://github.com/crossid/crossid-client-go/blob/v1.5.1/api/openapi.yaml:
// a session is {id, active, identityId, authAt, issuedAt, expiresAt, …}, in camel case, with ids that are no UUIDs, and every field is
// optional. A 200 is believed only if it names session and identity and says that the session is active. A 401 is a definite no, unless
// it is a page. Errors come in two shapes, with the code as a string or a number, or as SCIM has it; nothing depends on either. The name
// of the session cookie is documented nowhere, so it must be configured where cookies are used.
//
// The service states no assurance level that could be compared with others. A session of it has aal1.
package crossid
