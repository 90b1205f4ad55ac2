package io.ksm4j.it;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.condition.EnabledIf;

/** Skips what reads the kernel's counters and settings where they are hidden. */
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@EnabledIf(value = "io.ksm4j.it.Machine#showsKsm", disabledReason = "/sys/kernel/mm/ksm is hidden")
@interface EnabledIfKsmIsShown {}
