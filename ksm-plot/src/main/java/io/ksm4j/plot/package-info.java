/** Line charts as SVG. */
package io.ksm4j.plot;
