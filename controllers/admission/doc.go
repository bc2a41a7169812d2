// SPDX-License-Identifier: Apache-2.0

// Package admission serves the validating webhooks of the suite. It decides nothing by itself: it compiles the policy as it is and as it
// would be after a change, and refuses the change when that brings a problem which was not there before. A change that takes addresses
// away from Services is allowed and answered with a warning.
//
// The package reads the objects live for every request and keeps none of them; Services are read in pages, and only when a pool changes.
// Whatever it cannot check it allows: all that webhooks refuse, the controller and the speakers report after the fact as well. It also
// keeps the certificate that the webhooks are served with. All of it is safe for concurrent use.
package admission
