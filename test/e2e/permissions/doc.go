// SPDX-License-Identifier: Apache-2.0

// Package permissions compares the RBAC rules of config/rbac with the requests that the suite made while the stories ran, as the API
// server's audit log has them: every rule is used, and no request is forbidden.
//
// The comparison is pure. The spec in this package reads the lab's log and fails without one; it runs after the stories.
package permissions
