/** For ksm4j's own modules alone; may change at any time. */
package io.ksm4j.internal;
