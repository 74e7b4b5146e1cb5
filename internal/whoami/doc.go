// Package whoami tells a session in the words of another session service, so that an application that was written for one can stand on
// another. It knows what the dialects have in common: ids, times, the level where a dialect has it, name and e-mail address. What only one
// of them has, such as organizations or methods of authentication, is not made up: it is left out.
//
// The table of fields is docs/reference/session-services.md. Nothing here knows a credential, and none is ever told.
package whoami
