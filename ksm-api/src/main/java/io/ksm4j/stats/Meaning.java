// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import javax.management.DescriptorKey;

/**
 * Documents an MBean attribute for JMX clients, in addition to its name and type.
 *
 * @since 0.1.0
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface Meaning {

    /**
     * Returns what the attribute means, for people. Together with the unit it forms the description of the attribute.
     *
     * @return text without a full stop at the end
     */
    @DescriptorKey("meaning")
    String value();

    /**
     * Returns the unit of the attribute, which the descriptor contains as {@code units}.
     *
     * @return {@code bytes}, {@code pages}, {@code ms}, {@code ratio} and so on
     */
    @DescriptorKey("units")
    String units();
}
