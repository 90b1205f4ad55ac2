package io.ksm4j.stats;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import javax.management.DescriptorKey;

/** What JMX clients are told of an attribute of an MBean, beside its name and type. */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface Meaning {

    /**
     * What the attribute is, for people. With the units after it, it is the attribute's description.
     *
     * @return words without an end mark
     */
    @DescriptorKey("meaning")
    String value();

    /**
     * What the attribute is counted in; the descriptor has it as {@code units}.
     *
     * @return {@code bytes}, {@code pages}, {@code ms}, {@code ratio} and so on
     */
    @DescriptorKey("units")
    String units();
}
