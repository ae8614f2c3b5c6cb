import { Controller, Get, Redirect } from '@nestjs/common';

/** Redirects browsers from the app's root to its admin UI. */
@Controller()
export class HomeController {
  @Get()
  @Redirect('/admin/jobs')
  home(): void {}
}
