/** {@code ksm top} and {@code ksm watch}: show samples over time, on a terminal or as text. */
package io.ksm4j.tools.live;
