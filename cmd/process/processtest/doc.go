// SPDX-License-Identifier: Apache-2.0

// Package processtest has the means by which the tests of the roles act on real processes: the API server of envtest, the connection of a
// role to it, the role's health endpoints.
//
// Its functions are called from Ginkgo specs, and clean up when the spec or container that calls them ends. Only tests import it.
package processtest
