/** Lines over a common axis, as SVG. */
package io.ksm4j.plot;
